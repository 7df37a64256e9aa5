package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/masu-lab/masu"
)

const (
	askedAnew = 5 * time.Minute        // Jupyter is asked again then although nothing seems to have happened
	trails    = 500 * time.Millisecond // for which a question's last segments may come after its answer
)

// jupyter is what is known of the box's Jupyter. An answer costs it milliseconds,
// and a lab has hundreds of them that nobody uses: it is asked again only when
// something has gone over the box's network since. Whoever wants something of it
// comes that way, and so does what its kernels tell it: while nothing passes, a
// kernel that computes still computes, and one that waits still waits.
type jupyter struct {
	client *http.Client
	url    string
	passed func() (segments uint64, known bool)
	trails time.Duration

	asked  time.Time // when it last answered
	before uint64    // segments, by then
	busy   bool      // a kernel computes
	active time.Time // when somebody last did something
	open   []masu.OpenNotebook
}

func newJupyter(url string, passed func() (uint64, bool)) *jupyter {
	return &jupyter{url: url, passed: passed, trails: trails, client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// look brings what is known up to date. Without an answer it stays as it was.
func (j *jupyter) look(ctx context.Context, now time.Time) {
	if n, known := j.passed(); !known || n != j.before || now.Sub(j.asked) >= askedAnew {
		if err := j.ask(ctx); err != nil {
			return
		}
		j.asked = now
		select { // what the questions took is no news
		case <-time.After(j.trails):
		case <-ctx.Done():
		}
		j.before, _ = j.passed()
	}
	if j.busy {
		j.active = now
	}
}

// ask asks Jupyter. A kernel that computes is activity, however long it says
// nothing. The questions are put so that they do not count themselves.
func (j *jupyter) ask(ctx context.Context) error {
	var status struct {
		LastActivity time.Time `json:"last_activity"`
		Kernels      int       `json:"kernels"`
	}
	if err := j.get(ctx, "/api/status", &status); err != nil {
		return err
	}
	j.active = status.LastActivity
	if status.Kernels == 0 {
		j.busy, j.open = false, nil
		return nil
	}
	var kernels []struct {
		State string `json:"execution_state"`
	}
	if err := j.get(ctx, "/api/kernels?no_track_activity=1", &kernels); err != nil {
		return err
	}
	j.busy = false
	for _, k := range kernels {
		j.busy = j.busy || k.State == "busy"
	}
	open, err := j.notebooks(ctx)
	if err == nil {
		j.open = open
	}
	return err
}

const (
	mostNotebooks = 64
	mostPath      = 200 // characters
)

// notebooks lists the files for which Jupyter has a kernel. What Jupyter says is the member's word.
func (j *jupyter) notebooks(ctx context.Context) (list []masu.OpenNotebook, err error) {
	var sessions []struct {
		Path   string              `json:"path"`
		Kernel struct{ ID string } `json:"kernel"`
	}
	if err := j.get(ctx, "/api/sessions?no_track_activity=1", &sessions); err != nil {
		return nil, err
	}
	for _, s := range sessions[:min(len(sessions), mostNotebooks)] {
		path := []rune(strings.Map(graphic, s.Path))
		list = append(list, masu.OpenNotebook{Kernel: strings.Map(graphic, s.Kernel.ID[:min(len(s.Kernel.ID), mostPath)]), Path: string(path[:min(len(path), mostPath)])})
	}
	slices.SortFunc(list, func(a, b masu.OpenNotebook) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kernel, b.Kernel))
	})
	return list, nil
}

// graphic leaves out what would move a terminal's cursor.
func graphic(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return -1
}

func (j *jupyter) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url+path, nil)
	if err != nil {
		return err
	}
	res, err := j.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(into)
}

// segments is how many TCP segments have come in the box's network, its loopback included.
func segments() (n uint64, known bool) {
	b, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, false
	}
	return parseSegments(string(b))
}

// parseSegments finds a figure in a table of which each row has its names in the row before.
func parseSegments(table string) (n uint64, known bool) {
	column := -1
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] != "Tcp:":
		case column < 0:
			if column = slices.Index(f, "InSegs"); column < 0 {
				return 0, false
			}
		case column < len(f):
			n, err := strconv.ParseUint(f[column], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
