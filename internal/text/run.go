package text

import (
	"strconv"
	"time"

	"github.com/masu-lab/masu"
)

// Fact is something about a thing, with its name.
type Fact struct{ Name, Value string }

// RunFacts tells where a run is at home, and what it used, as far as it is known. Lasts writes how long something lasts.
func RunFacts(lang masu.Lang, r masu.Run, lasts func(time.Duration) string) (list []Fact) {
	add := func(what, value string) { list = append(list, Fact{Say(lang, "run_fact."+what), value}) }
	if r.Project.Dir != "" {
		add("folder", r.Project.Dir)
	}
	if r.Limit > 0 {
		add("limit", lasts(r.Limit))
	}
	if r.StartedAt.IsZero() {
		return list
	}
	if len(r.GPUs) > 0 {
		add("gpus", strconv.Itoa(len(r.GPUs)))
		busy, memory, energy := Say(lang, "run_fact.unmetered"), Say(lang, "run_fact.unmetered"), Say(lang, "run_fact.unmetered")
		if g := r.GPUUsed; g != (masu.GPUWork{}) {
			if g.Read > 0 {
				busy = strconv.Itoa(g.Percent()) + "%"
			}
			if g.Memory > 0 {
				memory = g.Memory.String()
			}
			if g.Energy > 0 {
				energy = masu.EnergyText(g.Energy)
			}
		}
		add("busy", busy)
		add("gpu_memory", memory)
		add("energy", energy)
	}
	if r.Used != (masu.Use{}) {
		add("cpu", lasts(r.Used.CPU))
		add("memory", r.Used.Memory.String())
	}
	return list
}
