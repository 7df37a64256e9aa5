package main

import (
	"fmt"
	"strings"
)

// table is aligned columns with a heading for people, and tabs for programs.
type table struct {
	a    *app
	tty  bool
	rows [][]string
}

func (a *app) table(headings ...string) *table {
	t := &table{a: a}
	_, t.tty = terminal(a.out)
	if t.tty {
		row := make([]string, len(headings))
		for i, h := range headings {
			row[i] = a.say(h)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// row adds a row. Cells come from members and engines too, so control characters are taken out.
func (t *table) row(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = plain(strings.ReplaceAll(c, "\n", " "))
	}
	t.rows = append(t.rows, row)
}

func (t *table) write() {
	if !t.tty {
		for _, r := range t.rows {
			fmt.Fprintln(t.a.out, strings.Join(r, "\t"))
		}
		return
	}
	widths := map[int]int{}
	for _, r := range t.rows {
		for i, c := range r {
			widths[i] = max(widths[i], columnsOf(c))
		}
	}
	for _, r := range t.rows {
		var b strings.Builder
		for i, c := range r {
			b.WriteString(c + strings.Repeat(" ", widths[i]-columnsOf(c)+2))
		}
		fmt.Fprintln(t.a.out, strings.TrimRight(b.String(), " "))
	}
}

func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}
