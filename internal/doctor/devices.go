package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// checkDevices looks for GPUs that are given by CDI: whether their
// specifications can be read, and whether the engine gives such devices at all.
func checkDevices(_ context.Context, e *exam) []masu.Finding {
	if e.Devices == nil || e.engine().err != nil {
		return nil
	}
	dirs := e.engine().CDISpecDirs
	able := len(dirs) > 0
	if !able {
		dirs = []string{e.path("/etc/cdi"), e.path("/var/run/cdi")} // where an engine that could would look
	}
	gpus, found := e.Devices(dirs)
	if len(gpus) == 0 {
		return found
	}
	n, kinds := strconv.Itoa(len(gpus)), strings.Join(kindsOf(gpus), ", ")
	if !able {
		return append(found, finding(masu.Warn, "cdi_not_given", n, kinds))
	}
	return append(found, finding(masu.Good, "cdi_devices", n, kinds))
}

// kindsOf lists the kinds of CDI devices.
func kindsOf(gpus []masu.GPU) (kinds []string) {
	for _, g := range gpus {
		kind, _, _ := strings.Cut(string(g.ID), "=")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// checkHealth passes on what the daemon knows of broken cards, and of boxes that are refused theirs.
func checkHealth(ctx context.Context, e *exam) (all []masu.Finding) {
	if e.Board == nil {
		return nil
	}
	b, err := e.Board(ctx)
	if err != nil {
		return nil // whoever needs the daemon is told so elsewhere
	}
	for _, g := range b.GPUs {
		n := strconv.Itoa(g.Index)
		if xid, ok := g.Fault.Xid(); ok {
			all = append(all, finding(masu.Warn, "gpu_faulty_xid", n, xid))
		} else if g.Fault != "" {
			all = append(all, finding(masu.Warn, "gpu_faulty_"+string(g.Fault), n))
		}
		for _, h := range g.Holds {
			if h.Lost {
				all = append(all, finding(masu.Warn, "gpu_lost_by", n, string(h.Member)))
			}
		}
		if r := g.Reading; r != nil && r.Faults > 0 {
			all = append(all, finding(masu.Warn, "gpu_errors_found", n, strconv.Itoa(r.Faults)))
		}
	}
	return all
}
