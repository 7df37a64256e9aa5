package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

func elapsed(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// plain makes a line of foreign output harmless: what overwrote itself is
// reduced to its last state, and no control sequence reaches the terminal.
func plain(s string) string {
	s = strings.TrimRight(s, "\r")
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		if n := escapeLen(rest); n > 0 {
			rest = rest[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r):
			b.WriteRune(r)
		}
		rest = rest[n:]
	}
	return b.String()
}

// escapeLen is the length of the control sequence that s begins with.
func escapeLen(s string) int {
	if !strings.HasPrefix(s, "\x1b") {
		return 0
	}
	if len(s) > 1 && s[1] == '[' {
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
	}
	if len(s) > 1 && s[1] == ']' {
		for i := 2; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1
			}
		}
	}
	return min(len(s), 2)
}

// cut shortens s to so many columns of a terminal, where a Japanese letter takes two.
func cut(s string, cols int) string {
	used := 0
	for i, r := range s {
		n := columns(r)
		if used+n > cols {
			return s[:i]
		}
		used += n
	}
	return s
}

func columns(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
