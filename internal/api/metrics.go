package api

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

// metricsOf writes what Prometheus collects, in its text format: the lab as an
// admin sees it, and what the daemon itself costs.
func metricsOf(ctx context.Context, svc masu.Service, counted *metrics.Set) (string, error) {
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
	phases, lent := map[masu.Phase]int{}, 0
	for _, w := range all {
		phases[w.Phase]++
	}
	for _, g := range board.GPUs {
		if len(g.Holds) > 0 { // also by a run
			lent++
		}
	}
	var byPhase []metrics.Sample
	for _, p := range []masu.Phase{masu.Building, masu.Waiting, masu.Starting, masu.Running, masu.Stopping, masu.Stopped, masu.Failed} {
		byPhase = append(byPhase, metrics.Sample{Labels: metrics.Labels("phase", string(p)), Value: float64(phases[p])})
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
	var t metrics.Text
	one := func(name, help string, value float64) { t.Family(name, "gauge", help, metrics.Sample{Value: value}) }
	t.Family("masu_build_info", "gauge", "The program's version.", metrics.Sample{Labels: metrics.Labels("version", hello.Version), Value: 1})
	t.Family("masu_workspaces", "gauge", "Workspaces by phase.", byPhase...)
	one("masu_members", "Logins that may use the lab.", float64(len(members)))
	one("masu_gpus", "GPUs of this host.", float64(len(hello.Host.GPUs)))
	one("masu_gpus_lent", "GPUs that are lent.", float64(lent))
	metricGPUs(&t, board)
	one("masu_engine_away", "1 while the container engine does not answer.", away)
	one("masu_closed", "1 while, or as soon as, nothing new may start.", closed)
	one("go_goroutines", "Goroutines of the daemon.", float64(runtime.NumGoroutine()))
	one("process_resident_memory_bytes", "Memory of the daemon.", residentMemory())
	one("process_open_fds", "Open files of the daemon.", openFiles())
	counted.Write(&t)
	return t.String(), nil
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
func metricGPUs(t *metrics.Text, b masu.Board) {
	var busy, memory, heat, power, errors, faulty, held, outside []metrics.Sample
	for _, g := range b.GPUs {
		label := metrics.Labels("gpu", strconv.Itoa(g.Index), "uuid", string(g.ID), "model", g.Model)
		held, outside = append(held, metrics.Sample{Labels: label, Value: float64(len(g.Holds))}), append(outside, metrics.Sample{Labels: label, Value: float64(len(g.Outside))})
		ill := 0.0
		if g.Fault != "" {
			ill = 1
		}
		faulty = append(faulty, metrics.Sample{Labels: label, Value: ill})
		r := g.Reading
		if r == nil {
			continue
		}
		for _, x := range []struct {
			to    *[]metrics.Sample
			value float64
		}{{&busy, r.Busy}, {&memory, float64(r.Memory)}, {&heat, r.Temperature}, {&power, r.Power}, {&errors, float64(r.Faults)}} {
			if x.value >= 0 {
				*x.to = append(*x.to, metrics.Sample{Labels: label, Value: x.value})
			}
		}
	}
	t.Family("masu_gpu_busy", "gauge", "Part of the last second in which a GPU computed.", busy...)
	t.Family("masu_gpu_memory_bytes", "gauge", "Memory of a GPU in use.", memory...)
	t.Family("masu_gpu_temperature_celsius", "gauge", "Temperature of a GPU.", heat...)
	t.Family("masu_gpu_power_watts", "gauge", "What a GPU draws.", power...)
	t.Family("masu_gpu_memory_errors", "gauge", "Memory errors of a GPU that were not corrected since its driver was loaded.", errors...)
	t.Family("masu_gpu_faulty", "gauge", "1 while a GPU is not lent because something is wrong with it.", faulty...)
	t.Family("masu_gpu_leases", "gauge", "Leases on a GPU; more than one where it is shared.", held...)
	t.Family("masu_gpu_outside_processes", "gauge", "Processes on a GPU that masu did not start.", outside...)
	t.Family("masu_gpu_waiting", "gauge", "Workspaces and runs that wait for GPUs.", metrics.Sample{Value: float64(len(b.Waiting))})
}
