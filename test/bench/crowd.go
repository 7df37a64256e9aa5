package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

// perCPU bounds how many bare starts the engine is given at once: more only makes each slower.
const perCPU = 4

// benchCrowd presses Start for everybody at once, against the same number of
// containers of the same image started on the bare engine; while masu is at it,
// somebody looks at the first page over and over.
func benchCrowd(ctx context.Context, b *bench) ([]row, error) {
	dir, err := b.project("crowd", map[string]string{"masu.yaml": "preset: python\n"})
	if err != nil {
		return nil, err
	}
	if _, err := b.masu(ctx, dir, "up", "--no-check", "--quiet", "--no-open"); err != nil { // builds the image
		return nil, err
	}
	image, err := b.imageOf(ctx, dir, "crowd")
	if err != nil {
		return nil, err
	}
	theirs, err := bareStarts(ctx, image, b.crowd)
	if err != nil {
		return nil, err
	}
	ours, page, err := b.crowdStarts(ctx)
	if err != nil {
		return nil, err
	}
	return []row{
		{fmt.Sprintf("%d starts at once, until every box runs its Jupyter", b.crowd), ours, theirs, "s", "docker run, until every container runs its", false, 1.2},
		{"first page meanwhile, 95 % of requests within", page, 0, "ms", "", false, 0},
	}, nil
}

// crowdStarts brings up many workspaces at once and tells how long it took, and
// within how many milliseconds 95 % of the pages came meanwhile.
func (b *bench) crowdStarts(ctx context.Context) (wall, page float64, err error) {
	c, err := api.Dial(ctx, b.socket, api.ClientOptions{})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	hello, err := c.Whoami(ctx)
	if err != nil {
		return 0, 0, err
	}
	cookie, err := b.cookieOf(ctx, hello.Actor.Name)
	if err != nil {
		return 0, 0, err
	}
	dirs := make([]string, b.crowd)
	for i := range dirs {
		if dirs[i], err = b.project(fmt.Sprintf("crowd%03d", i), map[string]string{"masu.yaml": "preset: python\n"}); err != nil {
			return 0, 0, err
		}
	}
	look, stop := context.WithCancel(ctx)
	var times []float64
	var wg sync.WaitGroup
	wg.Go(func() { times = b.lookAtHome(look, cookie) })
	begin := time.Now()
	var all errgroup.Group
	for _, dir := range dirs {
		all.Go(func() error {
			w, err := c.Up(ctx, masu.UpRequest{Dir: dir})
			if err != nil {
				return err
			}
			for _, err := range c.Watch(ctx, string(w.ID)) {
				if err != nil {
					return err
				}
			}
			if w, err = c.Workspace(ctx, string(w.ID)); err == nil && w.Phase != masu.Running {
				err = fmt.Errorf("%s is %s", w.Name, w.Phase)
			}
			return err
		})
	}
	err = all.Wait()
	wall = time.Since(begin).Seconds()
	stop()
	wg.Wait()
	if err != nil || len(times) == 0 {
		return 0, 0, fmt.Errorf("%w (%d pages were seen)", err, len(times))
	}
	slices.Sort(times)
	return wall, times[len(times)*95/100], nil
}

// lookAtHome asks for the first page ten times a second and gives how long each took, in milliseconds.
func (b *bench) lookAtHome(ctx context.Context, cookie string) (times []float64) {
	pages := "http://localhost:" + b.listen[strings.LastIndexByte(b.listen, ':')+1:] + "/"
	for ctx.Err() == nil {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, pages, nil)
		if err != nil {
			return nil
		}
		q.Header.Set("Cookie", cookie)
		begin := time.Now()
		resp, err := http.DefaultClient.Do(q)
		if err == nil {
			_ = resp.Body.Close()
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			fmt.Fprintln(os.Stderr, "the first page:", resp, err)
			return nil
		}
		times = append(times, time.Since(begin).Seconds()*1e3)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return times
}

// bareStarts starts as many containers that run Jupyter, and waits until each answers.
func bareStarts(ctx context.Context, image string, n int) (float64, error) {
	ids := make([]string, n)
	defer func() {
		_ = exec.Command("docker", append([]string{"rm", "-f"}, slices.DeleteFunc(ids, func(s string) bool { return s == "" })...)...).Run()
	}()
	begin := time.Now()
	var all errgroup.Group
	all.SetLimit(2 * perCPU)
	for i := range ids {
		all.Go(func() error {
			out, err := exec.CommandContext(ctx, "docker", "run", "-d", "--entrypoint", "jupyter-lab", image, "--allow-root", "--ip=0.0.0.0", "--port=8888",
				"--no-browser", "--ServerApp.token=", "--ServerApp.password=", "--ServerApp.allow_remote_access=True").CombinedOutput()
			if err != nil {
				return fmt.Errorf("docker run: %w: %s", err, out)
			}
			ids[i] = strings.TrimSpace(string(out))
			ip, err := exec.CommandContext(ctx, "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", ids[i]).Output()
			if err != nil {
				return err
			}
			return jupyterAnswers("http://" + strings.TrimSpace(string(ip)) + ":8888/api/status")
		})
	}
	err := all.Wait()
	return time.Since(begin).Seconds(), err
}

func jupyterAnswers(address string) error {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(address)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer", address)
}
