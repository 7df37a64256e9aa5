package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var languages = []string{"en", "ja"}

// names are what the pages call the ways.
var names = map[string]map[string]string{
	"en": {
		"grab": "no rules: grab and hold", "fcfs": "a plain queue", "fcfs-fill": "by arrival, gaps filled", "no-fill": "fair, gaps not filled",
		"masu": "**masu**", "no-idle": "masu, idle GPUs kept", "idle-always": "masu, `idle_always`", "aging-0": "masu, `aging: 0`", "aging-4": "masu, `aging: 4`", "no-hold": "masu, `hold: 0`",
	},
	"ja": {
		"grab": "規則なし（早い者勝ち）", "fcfs": "ただの順番待ち", "fcfs-fill": "到着順、すき間を使う", "no-fill": "公平、すき間を使わない",
		"masu": "**masu**", "no-idle": "masu、遊びの GPU を返さない", "idle-always": "masu、`idle_always`", "aging-0": "masu、`aging: 0`", "aging-4": "masu、`aging: 4`", "no-hold": "masu、`hold: 0`",
	},
}

var headings = map[string][]string{
	"en": {"way", "notebooks wait: half / 9 of 10", "gave up", "batch waits: half / 9 of 10 / 99 of 100", "wide batch: half / 9 of 10", "longest wait", "at work", "held idle", "… while others waited", "Jain", "worst slowdown", "stopped at work: idle / time / reserved", "away, and stopped", "classes late"},
	"ja": {"方法", "ノートブックの待ち: 半数 / 9 割", "あきらめ", "バッチの待ち: 半数 / 9 割 / 99 %", "広いバッチ: 半数 / 9 割", "最長の待ち", "作業中", "遊び", "… 待つ人がいる間", "Jain", "最悪の遅れ", "作業中の停止: 遊び / 時間 / 予約", "離席中の停止", "遅れた授業"},
}

// hours writes a time for people: short ones in minutes.
func hours(h float64) string {
	if h < 1 {
		return fmt.Sprintf("%.0f min", h*60)
	}
	if h < 10 {
		return strconv.FormatFloat(h, 'f', 1, 64) + " h"
	}
	return fmt.Sprintf("%.0f h", h)
}

// table is a year of each way, in Markdown.
func table(lang string, o outcome) string {
	var b strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(headings[lang]...)
	b.WriteString("|---" + strings.Repeat("|---:", len(headings[lang])-1) + "|\n")
	for _, r := range o.Years {
		percent := func(x float64) string { return fmt.Sprintf("%.1f %%", x) }
		line(names[lang][r.Way], hours(r.Notebook[0])+" / "+hours(r.Notebook[1]), fmt.Sprint(r.GaveUp),
			hours(r.Batch[0])+" / "+hours(r.Batch[1])+" / "+hours(r.Batch[2]), hours(r.Wide[0])+" / "+hours(r.Wide[1]), hours(r.Longest),
			percent(r.Work), percent(r.Idle), percent(r.Wasted), fmt.Sprintf("%.2f", r.Fairness), fmt.Sprintf("%.1f", r.Worst),
			fmt.Sprintf("%d / %d / %d", r.Stopped.Idle, r.Stopped.Time, r.Stopped.Reserved), fmt.Sprint(r.Away), fmt.Sprintf("%d / %d", r.Late, r.Classes))
	}
	return b.String()
}

// kept is where the outcome of the year lies from which the pages are made.
func kept(root string) string {
	return filepath.Join(root, "test", "simulate", "testdata", "year.json")
}

func keep(root string, all []outcome) error {
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(kept(root), append(b, '\n'), 0o644)
}

// pages gives what the report's pages and figures must be, by their paths.
func pages(root string, all []outcome) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, lang := range languages {
		path := filepath.Join(root, "docs", lang, "scheduling.md")
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text := string(b)
		for _, o := range all {
			name := fmt.Sprint(o.GPUs)
			if text, err = between(text, "years "+name, "\n"+table(lang, o)); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if text, err = between(text, "load "+name, fmt.Sprintf("%d, %.0f %%", o.Jobs, o.Load)); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		files[path] = []byte(text)
		for name, svg := range figures(lang, all[0]) {
			files[filepath.Join(root, "docs", "img", "sched", name+"-"+lang+".svg")] = []byte(svg)
		}
	}
	return files, nil
}

// between replaces what stands between the marks of a name.
func between(text, name, with string) (string, error) {
	before, rest, ok := strings.Cut(text, "<!-- "+name+" -->")
	_, after, closed := strings.Cut(rest, "<!-- /"+name+" -->")
	if !ok || !closed {
		return "", fmt.Errorf("the marks of %q are missing", name)
	}
	return before + "<!-- " + name + " -->" + with + "<!-- /" + name + " -->" + after, nil
}
