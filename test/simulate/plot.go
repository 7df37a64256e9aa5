package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// style is readable on white and on black, as the reader's system is.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:15px}.v{font-size:12px;fill:#57606a}.g{stroke:#d0d7de}.a{fill:#2f6fdb}.b{fill:#c2570c}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.v{fill:#a5adb6}.g{stroke:#3d444d}.a{fill:#6ea8fe}.b{fill:#f0a860}}
</style>`

// series is one figure of each way.
type series struct {
	name   string
	values []float64
}

// chart is bars, one group for each way.
type chart struct {
	title   string
	ways    []string
	series  []series
	label   func(float64) string
	stacked bool
}

// figures are the report's, by name, of one outcome.
func figures(lang string, o outcome) map[string]string {
	word := map[string]map[string]string{
		"en": {"waits": "Nine of ten wait no longer than (8 GPUs)", "notebook": "notebooks (given up after 12 h)", "batch": "batch work", "time": "What the GPU time was (8 GPUs)", "work": "at work", "idle": "held for nothing", "longest": "The longest wait (8 GPUs)", "wait": "longest wait"},
		"ja": {"waits": "10 件のうち 9 件の待ち時間（GPU 8 枚）", "notebook": "ノートブック（12 時間であきらめる）", "batch": "バッチ", "time": "GPU 時間の内訳（GPU 8 枚）", "work": "作業中", "idle": "遊び", "longest": "最長の待ち（GPU 8 枚）", "wait": "最長の待ち"},
	}[lang]
	var plain []string
	of := func(name string, pick func(row) float64) series {
		s := series{name: word[name]}
		for _, r := range o.Years {
			s.values = append(s.values, pick(r))
		}
		return s
	}
	for _, r := range o.Years {
		plain = append(plain, strings.NewReplacer("*", "", "`", "").Replace(names[lang][r.Way]))
	}
	percent := func(x float64) string { return fmt.Sprintf("%.0f %%", x) }
	return map[string]string{
		"waits":   chart{word["waits"], plain, []series{of("notebook", func(r row) float64 { return r.Notebook[1] }), of("batch", func(r row) float64 { return r.Batch[1] })}, hours, false}.svg(),
		"time":    chart{word["time"], plain, []series{of("work", func(r row) float64 { return r.Work }), of("idle", func(r row) float64 { return r.Idle })}, percent, true}.svg(),
		"longest": chart{word["longest"], plain, []series{of("wait", func(r row) float64 { return r.Longest })}, hours, false}.svg(),
	}
}

const (
	chartWidth = 720
	labelWidth = 220
	barsWidth  = chartWidth - labelWidth - 100
	barHeight  = 13
	chartTop   = 64
)

func (c chart) svg() string {
	lines := len(c.series)
	if c.stacked {
		lines = 1
	}
	group := lines*(barHeight+2) + 10
	height := chartTop + len(c.ways)*group + 8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n%s\n", chartWidth, height, chartWidth, height, html.EscapeString(c.title), style)
	fmt.Fprintf(&b, `<text class="t" x="8" y="22">%s</text>`+"\n", html.EscapeString(c.title))
	if len(c.series) > 1 {
		for i, s := range c.series {
			x := labelWidth + 260*i
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="36" width="12" height="12"/><text x="%d" y="47">%s</text>`+"\n", class(i), x, x+18, html.EscapeString(s.name))
		}
	}
	fmt.Fprintf(&b, `<line class="g" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", labelWidth, chartTop-8, labelWidth, height-8)
	scale := barsWidth / c.most()
	for w, name := range c.ways {
		y := chartTop + w*group
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+lines*(barHeight+2)/2+4, html.EscapeString(name))
		c.bars(&b, w, y, scale)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bars draws those of one way.
func (c chart) bars(b *strings.Builder, w, y int, scale float64) {
	x, said := float64(labelWidth), []string{}
	for i, s := range c.series {
		width := min(s.values[w]*scale, barsWidth)
		fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>`+"\n", class(i), x, y, width, barHeight)
		if c.stacked {
			x, said = x+width, append(said, c.label(s.values[w]))
			continue
		}
		fmt.Fprintf(b, `<text class="v" x="%.1f" y="%d">%s</text>`+"\n", x+width+6, y+11, c.label(s.values[w]))
		y += barHeight + 2
	}
	if c.stacked {
		fmt.Fprintf(b, `<text class="v" x="%.1f" y="%d">%s</text>`+"\n", x+6, y+11, strings.Join(said, " + "))
	}
}

func class(i int) string { return string(rune('a' + i)) }

// most is what the full width stands for: the longest bar, but for one that is so long that the others could not be told apart.
func (c chart) most() float64 {
	var sums []float64
	for w := range c.ways {
		sum := 0.0
		for _, s := range c.series {
			if c.stacked {
				sum += s.values[w]
			} else {
				sum = max(sum, s.values[w])
			}
		}
		sums = append(sums, sum)
	}
	slices.Sort(sums)
	last := sums[len(sums)-1]
	if before := sums[len(sums)-2]; last > 4*before {
		last = 1.2 * before
	}
	return max(last, 1)
}
