package agent

import (
	"context"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/gauge"
)

// gauges tell what the box uses, to a daemon that cannot look at its groups
// and cards itself: those of a pod are on another machine.
type gauges struct {
	user masu.User
	kids *children
	smi  []string // where nvidia-smi may be; the box's own PATH is the member's

	mu    sync.Mutex // one look at a time: the driver is woken for each
	cards []masu.Reading
}

const (
	cardFields = "utilization.gpu,memory.used,temperature.gpu,power.draw"
	cardsKept  = 2 * time.Second
	cardsMost  = 64 << 10
	cardsTake  = 10 * time.Second // a driver that hangs
)

func newGauges(u masu.User, kids *children) *gauges {
	return &gauges{user: u, kids: kids, smi: []string{"/usr/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"}}
}

func (g *gauges) routes() http.Handler {
	mux := http.NewServeMux()
	for path, read := range map[string]func(context.Context) (any, error){
		"use": func(context.Context) (any, error) { return gauge.Own() },
		"disk": func(ctx context.Context) (any, error) {
			return gauge.Disk(ctx, g.user.Home, mountPoints("/proc/self/mountinfo")...)
		},
		"cards": func(ctx context.Context) (any, error) { return g.readings(ctx), nil },
	} {
		mux.HandleFunc("GET /v1/gauge/"+path, func(w http.ResponseWriter, r *http.Request) {
			v, err := read(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			writeJSON(w, v)
		})
	}
	return mux
}

// readings gives how the cards do that the box has, in the driver's order; none where there is no driver.
func (g *gauges) readings(ctx context.Context) []masu.Reading {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.cards) > 0 && time.Since(g.cards[0].At) < cardsKept {
		return g.cards
	}
	g.cards = nil
	for _, smi := range g.smi {
		if _, err := os.Stat(smi); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, cardsTake)
		defer cancel()
		g.cards = parseCards(g.said(ctx, smi, "--query-gpu="+cardFields, "--format=csv,noheader,nounits"), time.Now())
		break
	}
	return g.cards
}

// said runs a program as the member and gives what it prints; "" where it fails.
func (g *gauges) said(ctx context.Context, argv ...string) string {
	from, to, err := os.Pipe()
	if err != nil {
		return ""
	}
	defer from.Close()
	defer to.Close()
	pid, ended, err := g.kids.start(argv, &syscall.ProcAttr{Dir: "/", Env: []string{"PATH=" + plainPath}, Files: []uintptr{from.Fd(), to.Fd(), to.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: credential(g.user)}})
	if err != nil {
		return ""
	}
	_ = to.Close()
	defer context.AfterFunc(ctx, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })()
	text, err := io.ReadAll(io.LimitReader(from, cardsMost))
	if err != nil || (<-ended).ExitStatus() != 0 {
		return ""
	}
	return string(text)
}

// parseCards reads a line for each card. What a card does not tell is -1.
func parseCards(text string, at time.Time) (cards []masu.Reading) {
	for line := range strings.Lines(text) {
		v := strings.Split(strings.TrimSpace(line), ",")
		if len(v) != strings.Count(cardFields, ",")+1 {
			continue // a complaint
		}
		r := masu.Reading{At: at, Busy: told(v[0]), Memory: masu.Bytes(told(v[1])), Temperature: told(v[2]), Power: told(v[3])}
		if r.Busy >= 0 {
			r.Busy /= 100
		}
		if r.Memory > 0 {
			r.Memory *= masu.MiB
		}
		cards = append(cards, r)
	}
	return cards
}

func told(s string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n >= 0 && n <= 1e9) {
		return -1
	}
	return n
}

// mountPoints lists where something else begins; see proc_pid_mountinfo(5).
func mountPoints(file string) (list []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 {
			list = append(list, path.Clean(unescape.Replace(f[4])))
		}
	}
	return list
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
