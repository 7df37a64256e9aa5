package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/masu-lab/masu"
)

// How often the box is looked at. Activity is told in steps: nobody takes a
// GPU back within seconds.
const (
	portsEvery    = 2 * time.Second
	activityEvery = 15 * time.Second
	activityStep  = 10 * time.Second
)

// watchPorts takes note of what the member opens and closes.
func watchPorts(ctx context.Context, s *state, uid int) {
	low, high := pickedPorts()
	every(ctx, portsEvery, func() { s.ports(openPorts(sockets(), uid, low, high), time.Now()) })
}

// watchActivity takes note of when the member last did something.
func watchActivity(ctx context.Context, s *state, jupyter bool) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	every(ctx, activityEvery, func() {
		s.activeAt(terminalActivity("/dev/pts"))
		if registered(filepath.Join(runDir, "exec")) {
			s.activeAt(time.Now())
		}
		if jupyter {
			s.activeAt(jupyterActivity(ctx, client, "http://127.0.0.1:8888"))
			s.notebooks(openNotebooks(ctx, client, "http://127.0.0.1:8888"))
		}
	})
}

func every(ctx context.Context, pause time.Duration, do func()) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			do()
		}
	}
}

// terminalActivity is when somebody last typed: a terminal's time of access.
func terminalActivity(dir string) time.Time {
	var newest time.Time
	names, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	for _, name := range names {
		if fi, err := os.Stat(name); err == nil {
			if t := time.Unix(fi.Sys().(*syscall.Stat_t).Atim.Unix()); t.After(newest) {
				newest = t
			}
		}
	}
	return newest
}

// jupyterActivity asks Jupyter. A kernel that computes is activity, however
// long it says nothing. The questions are put so that they do not count themselves.
func jupyterActivity(ctx context.Context, client *http.Client, url string) time.Time {
	var status struct {
		LastActivity time.Time `json:"last_activity"`
		Kernels      int       `json:"kernels"`
	}
	if err := getJSON(ctx, client, url+"/api/status", &status); err != nil || status.Kernels == 0 {
		return status.LastActivity
	}
	var kernels []struct {
		State string `json:"execution_state"`
	}
	if err := getJSON(ctx, client, url+"/api/kernels?no_track_activity=1", &kernels); err == nil {
		for _, k := range kernels {
			if k.State == "busy" {
				return time.Now()
			}
		}
	}
	return status.LastActivity
}

const (
	mostNotebooks = 64
	mostPath      = 200 // characters
)

// openNotebooks lists the files for which Jupyter has a kernel. What Jupyter says is the member's word.
func openNotebooks(ctx context.Context, client *http.Client, url string) (list []masu.OpenNotebook) {
	var sessions []struct {
		Path   string              `json:"path"`
		Kernel struct{ ID string } `json:"kernel"`
	}
	if err := getJSON(ctx, client, url+"/api/sessions?no_track_activity=1", &sessions); err != nil {
		return nil
	}
	for _, s := range sessions[:min(len(sessions), mostNotebooks)] {
		path := []rune(strings.Map(graphic, s.Path))
		list = append(list, masu.OpenNotebook{Kernel: strings.Map(graphic, s.Kernel.ID[:min(len(s.Kernel.ID), mostPath)]), Path: string(path[:min(len(path), mostPath)])})
	}
	slices.SortFunc(list, func(a, b masu.OpenNotebook) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kernel, b.Kernel))
	})
	return list
}

// graphic leaves out what would move a terminal's cursor.
func graphic(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return -1
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(into)
}
