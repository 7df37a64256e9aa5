// Command bench measures masu against the best tool for each job, in one run on
// one machine, and prints ratios: absolute figures of one machine say little
// about another, a ratio within a run says more.
//
// It runs as root beside a container engine, needs nginx, wrk, curl and the
// configurable-http-proxy of package-lock.json (npm ci), and leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// row is one line of the table: masu's figure, the peer's, and the ratio that a goal is set for.
type row struct {
	what       string
	masu, peer float64
	unit       string
	against    string
	higher     bool    // a higher figure is better
	goal       float64 // of masu/peer; 0 for none
}

func (r row) ratio() float64 {
	if r.peer == 0 {
		return 0
	}
	return r.masu / r.peer
}

func (r row) verdict() string {
	switch {
	case r.goal == 0 || r.peer == 0:
		return ""
	case r.higher && r.ratio() >= r.goal, !r.higher && r.ratio() <= r.goal:
		return "reached"
	}
	return "not reached"
}

// part is a group of measurements that share their preparation.
type part struct {
	name string
	run  func(ctx context.Context, b *bench) ([]row, error)
}

var parts = []part{
	{"start", benchStart},
	{"rebuild", benchRebuild},
	{"proxy", benchProxy},
	{"daemon", benchDaemon},
	{"lab", benchLab},
	{"crowd", benchCrowd},
	{"laptop", benchLaptop},
	{"ssh", benchSSH},
}

func main() {
	addr := flag.String("upstream", "", "serve the upstream of the proxy part on this address, and nothing else")
	only := flag.String("only", "", "comma-separated parts: start, rebuild, proxy, daemon, lab, crowd, laptop, ssh")
	crowd := flag.Int("crowd", 60, "how many start at once in the part crowd; each needs some 100 MB")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *addr != "" {
		_ = serveUpstream(ctx, *addr)
		return
	}
	if err := run(ctx, *only, *crowd); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, crowd int) error {
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	b.crowd = crowd
	var rows []row
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "== %s\n", p.name)
		r, err := p.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, r...)
	}
	print(rows)
	return nil
}

func print(rows []row) {
	fmt.Println("| Measured | masu | peer | against | masu/peer | goal | |")
	fmt.Println("|---|---:|---:|---|---:|---:|---|")
	for _, r := range rows {
		goal := ""
		if r.goal != 0 {
			sign := "≤"
			if r.higher {
				sign = "≥"
			}
			goal = fmt.Sprintf("%s %.2g", sign, r.goal)
		}
		ratio, peer := "", ""
		if r.peer != 0 {
			ratio, peer = fmt.Sprintf("%.2f", r.ratio()), figure(r.peer)+" "+r.unit
		}
		fmt.Printf("| %s | %s %s | %s | %s | %s | %s | %s |\n", r.what, figure(r.masu), r.unit, peer, r.against, ratio, goal, r.verdict())
	}
}

func figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func median(f []float64) float64 {
	s := slices.Sorted(slices.Values(f))
	return s[len(s)/2]
}
