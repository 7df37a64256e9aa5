package api

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// metricsOf writes what Prometheus collects, in its text format: the lab as an
// admin sees it, and what the daemon itself costs.
func metricsOf(ctx context.Context, svc masu.Service) (string, error) {
	hello, err := svc.Whoami(ctx)
	if err != nil {
		return "", err
	}
	all, err := svc.Workspaces(ctx, true)
	if err != nil {
		return "", err
	}
	members, err := svc.Members(ctx)
	if err != nil {
		return "", err
	}
	board, err := svc.Board(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	metric := func(name, kind, help string, samples ...sample) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, s := range samples {
			fmt.Fprintf(&b, "%s%s %s\n", name, s.labels, strconv.FormatFloat(s.value, 'g', -1, 64))
		}
	}
	phases, lent := map[masu.Phase]int{}, 0
	for _, w := range all {
		phases[w.Phase]++
	}
	for _, g := range board.GPUs {
		if len(g.Holds) > 0 { // also by a run
			lent++
		}
	}
	var byPhase []sample
	for _, p := range []masu.Phase{masu.Building, masu.Waiting, masu.Starting, masu.Running, masu.Stopping, masu.Stopped, masu.Failed} {
		byPhase = append(byPhase, sample{fmt.Sprintf("{phase=%q}", p), float64(phases[p])})
	}
	closed := 0.0
	if !hello.House.ClosedAt.IsZero() {
		closed = 1
	}
	away := 0.0
	for _, n := range hello.Notes {
		if n.Code == "engine_away" {
			away = 1
		}
	}
	metric("masu_build_info", "gauge", "The program's version.", sample{fmt.Sprintf("{version=%q}", hello.Version), 1})
	metric("masu_workspaces", "gauge", "Workspaces by phase.", byPhase...)
	metric("masu_members", "gauge", "Logins that may use the lab.", sample{"", float64(len(members))})
	metric("masu_gpus", "gauge", "GPUs of this host.", sample{"", float64(len(hello.Host.GPUs))})
	metric("masu_gpus_lent", "gauge", "GPUs that are lent.", sample{"", float64(lent)})
	metricGPUs(metric, board)
	metric("masu_engine_away", "gauge", "1 while the container engine does not answer.", sample{"", away})
	metric("masu_closed", "gauge", "1 while, or as soon as, nothing new may start.", sample{"", closed})
	metric("go_goroutines", "gauge", "Goroutines of the daemon.", sample{"", float64(runtime.NumGoroutine())})
	metric("process_resident_memory_bytes", "gauge", "Memory of the daemon.", sample{"", residentMemory()})
	metric("process_open_fds", "gauge", "Open files of the daemon.", sample{"", openFiles()})
	return b.String(), nil
}

// sample is one value of a metric.
type sample struct {
	labels string
	value  float64
}

// residentMemory is in bytes; 0 where the kernel does not tell.
func residentMemory() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	if err != nil || len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(f[1], 64) // the kernel writes numbers
	return pages * float64(os.Getpagesize())
}

func openFiles() float64 {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return float64(len(list))
}

// metricGPUs tells how each GPU does, as far as the driver does, and who waits for one.
func metricGPUs(metric func(name, kind, help string, samples ...sample), b masu.Board) {
	var busy, memory, heat, power, errors, faulty, held, outside []sample
	for _, g := range b.GPUs {
		label := fmt.Sprintf("{gpu=%q,uuid=%q,model=%q}", strconv.Itoa(g.Index), g.ID, g.Model)
		held, outside = append(held, sample{label, float64(len(g.Holds))}), append(outside, sample{label, float64(len(g.Outside))})
		ill := 0.0
		if g.Fault != "" {
			ill = 1
		}
		faulty = append(faulty, sample{label, ill})
		r := g.Reading
		if r == nil {
			continue
		}
		for _, x := range []struct {
			to    *[]sample
			value float64
		}{{&busy, r.Busy}, {&memory, float64(r.Memory)}, {&heat, r.Temperature}, {&power, r.Power}, {&errors, float64(r.Faults)}} {
			if x.value >= 0 {
				*x.to = append(*x.to, sample{label, x.value})
			}
		}
	}
	metric("masu_gpu_busy", "gauge", "Part of the last second in which a GPU computed.", busy...)
	metric("masu_gpu_memory_bytes", "gauge", "Memory of a GPU in use.", memory...)
	metric("masu_gpu_temperature_celsius", "gauge", "Temperature of a GPU.", heat...)
	metric("masu_gpu_power_watts", "gauge", "What a GPU draws.", power...)
	metric("masu_gpu_memory_errors", "gauge", "Memory errors of a GPU that were not corrected since its driver was loaded.", errors...)
	metric("masu_gpu_faulty", "gauge", "1 while a GPU is not lent because something is wrong with it.", faulty...)
	metric("masu_gpu_leases", "gauge", "Leases on a GPU; more than one where it is shared.", held...)
	metric("masu_gpu_outside_processes", "gauge", "Processes on a GPU that masu did not start.", outside...)
	metric("masu_gpu_waiting", "gauge", "Workspaces and runs that wait for GPUs.", sample{"", float64(len(b.Waiting))})
}
