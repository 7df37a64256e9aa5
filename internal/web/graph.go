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

// graphView is one line over the last hours, drawn in a field of graphWide × graphHigh.
type graphView struct {
	Name string
	Now  string
	Most string
	Line string // SVG path of the line
	Area string // and of what is below it
	Says string // for who does not see it
}

// useGraphs is what a workspace used.
type useGraphs struct {
	Graphs []graphView
	Hours  int
}

const (
	graphHours = 6
	graphWide  = 600
	graphHigh  = 80
	oneCore    = 1.0
	graphGap   = 150 * time.Second // samples further apart are not joined: nothing ran between
)

// newGraphs draws what was used until now.
func newGraphs(lang masu.Lang, list []masu.Sample, now time.Time) useGraphs {
	g := useGraphs{Hours: graphHours}
	if len(list) == 0 {
		return g
	}
	cores := func(v float64) string { return fmt.Sprintf("%.1f", v) }
	bytes := func(v float64) string { return masu.Bytes(v).String() }
	g.Graphs = append([]graphView{
		newGraph(lang, text.Say(lang, "web.graph_cpu"), list, now, oneCore, func(s masu.Sample) float64 { return s.CPU }, cores),
		newGraph(lang, text.Say(lang, "web.memory"), list, now, 0, func(s masu.Sample) float64 { return float64(s.Memory) }, bytes),
	}, gpuGraphs(lang, list, now)...)
	return g
}

// gpuGraphs draws what the lent GPUs did, if any were. Several are summed up in a
// field that is as high as their number, so that one which does nothing is room that stays empty.
func gpuGraphs(lang masu.Lang, list []masu.Sample, now time.Time) []graphView {
	list = slices.DeleteFunc(slices.Clone(list), func(s masu.Sample) bool { return s.GPUs == 0 })
	if len(list) == 0 {
		return nil
	}
	n := slices.MaxFunc(list, func(a, b masu.Sample) int { return a.GPUs - b.GPUs }).GPUs
	name := text.Say(lang, "web.graph_gpu")
	if n > 1 {
		name = text.Say(lang, "web.graph_gpus", n)
	}
	return []graphView{
		newGraph(lang, name, list, now, float64(n), func(s masu.Sample) float64 { return s.GPU }, func(v float64) string { return gpuUse(v, n) }),
		newGraph(lang, text.Say(lang, "web.graph_gpu_memory"), list, now, 0, func(s masu.Sample) float64 { return float64(s.GPUMemory) }, func(v float64) string { return masu.Bytes(v).String() }),
	}
}

// gpuUse writes how much GPUs do: one as a part of it, several as how many of them.
func gpuUse(v float64, n int) string {
	if n == 1 {
		return fmt.Sprintf("%.0f%%", 100*v)
	}
	return fmt.Sprintf("%.1f", v)
}

// newGraph draws a line in a field that is as high as the most of it, but no less than least: noise is no mountain.
func newGraph(lang masu.Lang, name string, list []masu.Sample, now time.Time, least float64, of func(masu.Sample) float64, unit func(float64) string) graphView {
	most := 0.0
	for _, s := range list {
		most = max(most, of(s))
	}
	last := list[len(list)-1]
	v := graphView{Name: name, Now: "–", Most: unit(most)}
	if now.Sub(last.At) < graphGap {
		v.Now = unit(of(last))
	}
	v.Says = text.Say(lang, "web.graph_says", name, v.Now, v.Most, graphHours)
	scale := max(most, least)
	from := now.Add(-graphHours * time.Hour)
	var line, area strings.Builder
	x := func(at time.Time) float64 { return graphWide * at.Sub(from).Hours() / graphHours }
	begun := 0.0
	for i, s := range list {
		y := float64(graphHigh)
		if scale > 0 {
			y -= (graphHigh - 4) * of(s) / scale
		}
		first := i == 0 || s.At.Sub(list[i-1].At) > graphGap
		step := "L"
		if first {
			step, begun = "M", x(s.At)
			fmt.Fprintf(&area, "M%.1f %d", begun, graphHigh)
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", step, x(s.At), y)
		fmt.Fprintf(&area, "L%.1f %.1f", x(s.At), y)
		if i+1 == len(list) || list[i+1].At.Sub(s.At) > graphGap {
			fmt.Fprintf(&area, "L%.1f %dZ", x(s.At), graphHigh)
		}
	}
	v.Line, v.Area = line.String(), area.String()
	return v
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
		if last.GPUs > 0 {
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
