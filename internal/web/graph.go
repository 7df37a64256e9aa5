package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// graphView is one line over some time, drawn in a field of graphWide × graphHigh.
type graphView struct {
	Name   string
	Now    string
	Most   string
	Line   string // SVG path of the line
	Area   string // and of what is below it
	Says   string // for who does not see it
	Untold bool   // nobody measures it
}

// useGraphs is what a workspace, or a run, used.
type useGraphs struct {
	Graphs   []graphView
	From, To string // when the field begins and ends
}

const (
	graphHours = 6
	graphWide  = 600
	graphHigh  = 80
	oneCore    = 1.0
	graphGap   = 150 * time.Second // samples further apart are not joined: nothing ran between
)

// field is the time over which graphs are drawn.
type field struct {
	lang     masu.Lang
	from, to time.Time
	over     bool // nothing more comes: it has no "now"
}

// newGraphs draws what a workspace used in the last hours.
func newGraphs(lang masu.Lang, list []masu.Sample, now time.Time) useGraphs {
	g := field{lang: lang, from: now.Add(-graphHours * time.Hour), to: now}.draw(list)
	g.From, g.To = text.Say(lang, "web.graph_from", graphHours), text.Say(lang, "web.graph_now")
	return g
}

// newRunGraphs draws what a run used while it ran, or of a long one in the last days for which that is kept.
func newRunGraphs(lang masu.Lang, r masu.Run, list []masu.Sample, now time.Time) useGraphs {
	if len(list) < 2 { // no line
		return useGraphs{}
	}
	f := field{lang: lang, from: list[0].At, to: now, over: r.Over()}
	if f.over {
		f.to = r.EndedAt
	}
	g := f.draw(list)
	if g.From, g.To = near(f.from), near(f.to); !f.over {
		g.To = text.Say(lang, "web.graph_now")
	}
	return g
}

func (f field) draw(list []masu.Sample) (g useGraphs) {
	if len(list) == 0 {
		return g
	}
	g.Graphs = append([]graphView{
		f.graph(text.Say(f.lang, "web.graph_cpu"), list, oneCore, func(s masu.Sample) float64 { return s.CPU }, func(v float64) string { return fmt.Sprintf("%.1f", v) }),
		f.graph(text.Say(f.lang, "web.memory"), list, 0, func(s masu.Sample) float64 { return float64(s.Memory) }, bytesText),
	}, f.gpus(list)...)
	return g
}

func bytesText(v float64) string { return masu.Bytes(v).String() }

// gpus draws what the lent GPUs did, if any were. Several are summed up in a
// field that is as high as their number, so that one which does nothing is room that
// stays empty. How busy a slice was is a gap: nobody tells.
func (f field) gpus(list []masu.Sample) []graphView {
	list = slices.DeleteFunc(slices.Clone(list), func(s masu.Sample) bool { return s.GPUs == 0 })
	if len(list) == 0 {
		return nil
	}
	n := slices.MaxFunc(list, func(a, b masu.Sample) int { return a.GPUs - b.GPUs }).GPUs
	name := text.Say(f.lang, "web.graph_gpu")
	if n > 1 {
		name = text.Say(f.lang, "web.graph_gpus", n)
	}
	busy := graphView{Name: name, Untold: true, Says: name}
	if told := slices.DeleteFunc(slices.Clone(list), func(s masu.Sample) bool { return s.GPU < 0 }); len(told) > 0 {
		busy = f.graph(name, told, float64(n), func(s masu.Sample) float64 { return s.GPU }, func(v float64) string { return gpuUse(v, n) })
	}
	return []graphView{busy, f.graph(text.Say(f.lang, "web.graph_gpu_memory"), list, 0, func(s masu.Sample) float64 { return float64(s.GPUMemory) }, bytesText)}
}

// gpuUse writes how much GPUs do: one as a part of it, several as how many of them.
func gpuUse(v float64, n int) string {
	if n == 1 {
		return fmt.Sprintf("%.0f%%", 100*v)
	}
	return fmt.Sprintf("%.1f", v)
}

// graph draws a line in a field that is as high as the most of it, but no less than least: noise is no mountain.
func (f field) graph(name string, list []masu.Sample, least float64, of func(masu.Sample) float64, unit func(float64) string) graphView {
	most := 0.0
	for _, s := range list {
		most = max(most, of(s))
	}
	last := list[len(list)-1]
	v := graphView{Name: name, Now: "–", Most: unit(most)}
	if f.to.Sub(last.At) < graphGap {
		v.Now = unit(of(last))
	}
	if v.Says = text.Say(f.lang, "web.graph_says", name, v.Now, v.Most); f.over {
		v.Now, v.Says = "", text.Say(f.lang, "web.graph_said", name, v.Most)
	}
	v.Line, v.Area = f.path(f.points(list, of), max(most, least))
	return v
}

// point is a value at a time, of a minute or of several.
type point struct {
	at time.Time
	v  float64
}

// step is what a point stands for: more than a minute where that would be finer than anybody sees.
func (f field) step() time.Duration {
	const all = graphWide * time.Minute
	return max(1, (f.to.Sub(f.from)+all-1)/all) * time.Minute
}

// points are the means of each step.
func (f field) points(list []masu.Sample, of func(masu.Sample) float64) (all []point) {
	step, n := f.step(), 0.0
	for _, s := range list {
		at := s.At.Truncate(step)
		if len(all) == 0 || !all[len(all)-1].at.Equal(at) {
			all, n = append(all, point{at: at}), 0
		}
		p := &all[len(all)-1]
		n++
		p.v += (of(s) - p.v) / n
	}
	return all
}

// path draws points, and what is below them, where scale is the field's height.
func (f field) path(all []point, scale float64) (curve, below string) {
	var line, area strings.Builder
	long := max(f.to.Sub(f.from), time.Minute)
	x := func(at time.Time) float64 { return max(0, graphWide*at.Sub(f.from).Hours()/long.Hours()) }
	gap := max(graphGap, 5*f.step()/2)
	for i, p := range all {
		y := float64(graphHigh)
		if scale > 0 {
			y -= (graphHigh - 4) * p.v / scale
		}
		step := "L"
		if i == 0 || p.at.Sub(all[i-1].at) > gap {
			step = "M"
			fmt.Fprintf(&area, "M%.1f %d", x(p.at), graphHigh)
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", step, x(p.at), y)
		fmt.Fprintf(&area, "L%.1f %.1f", x(p.at), y)
		if i+1 == len(all) || all[i+1].at.Sub(p.at) > gap {
			fmt.Fprintf(&area, "L%.1f %dZ", x(p.at), graphHigh)
		}
	}
	return line.String(), area.String()
}

// use gives the graphs of a workspace, for the page's script.
func (s *Server) use(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := v.service.Samples(r.Context(), string(ws.ID), now.Add(-graphHours*time.Hour))
	if err != nil {
		return err
	}
	return s.part(w, r, v, "graphs", newGraphs(s.lang(r, v), list, now))
}

const idleFrom = 10 * time.Minute // less is a pause

// load tells in a few words what a running workspace uses, and whether anybody works there.
func (s *Server) load(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	now, lang := time.Now(), s.lang(r, v)
	list, err := v.service.Samples(r.Context(), string(ws.ID), now.Add(-graphGap))
	if err != nil {
		return err
	}
	var parts []string
	if len(list) > 0 && ws.Phase == masu.Running {
		last := list[len(list)-1]
		parts = append(parts, text.Say(lang, "web.load_cores", fmt.Sprintf("%.1f", last.CPU)), last.Memory.String())
		switch {
		case last.GPUs > 0 && last.GPU < 0: // a slice
			parts = append(parts, text.Say(lang, "web.load_slice", last.GPUMemory.String()))
		case last.GPUs > 0:
			parts = append(parts, text.Say(lang, "web.load_gpu", fmt.Sprintf("%.0f%%", 100*last.GPU/float64(last.GPUs)), last.GPUMemory.String()))
		}
	}
	if ws.Disk > 0 && ws.Phase == masu.Running {
		parts = append(parts, text.Say(lang, "web.load_disk", diskOf(lang, ws)))
	}
	if idle := now.Sub(ws.UsedAt); ws.Phase == masu.Running && !ws.UsedAt.IsZero() && idle >= idleFrom {
		parts = append(parts, text.Say(lang, "web.idle", since(lang, idle)))
	}
	return s.part(w, r, v, "load", parts)
}

// diskOf says what a workspace takes, and of how much where that is held.
func diskOf(lang masu.Lang, ws masu.Workspace) string {
	if ws.DiskMax == 0 {
		return ws.Disk.String()
	}
	return text.Say(lang, "disk_of", ws.Disk.String(), ws.DiskMax.String())
}

// part answers with a piece of a page.
func (s *Server) part(w http.ResponseWriter, r *http.Request, v *visit, name string, data any) error {
	b, err := s.looks.render(s.lang(r, v), name, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b) // it may have gone already
	return nil
}
