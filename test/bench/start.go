package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/masu-lab/masu/internal/kernel"
)

// benchStart compares bringing up an existing environment with `docker run` of the very same image.
func benchStart(ctx context.Context, b *bench) ([]row, error) {
	dir, err := b.project("started", map[string]string{"masu.yaml": "preset: python\n"})
	if err != nil {
		return nil, err
	}
	if _, err := b.masu(ctx, dir, "up", "--no-open"); err != nil { // builds the image
		return nil, err
	}
	image, err := b.imageOf(ctx, dir, "started")
	if err != nil {
		return nil, err
	}
	var ours, theirs, oursCell, theirsCell []float64
	for range 5 {
		if _, err := b.masu(ctx, dir, "stop", "started"); err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := b.masu(ctx, dir, "up", "--no-check", "--quiet", "--no-open"); err != nil {
			return nil, err
		}
		ours = append(ours, time.Since(begin).Seconds())
		if _, err := b.masu(ctx, dir, "check", "started"); err != nil {
			return nil, err
		}
		oursCell = append(oursCell, time.Since(begin).Seconds())

		ready, cell, err := plainDocker(ctx, image, dir)
		if err != nil {
			return nil, err
		}
		theirs, theirsCell = append(theirs, ready), append(theirsCell, cell)
	}
	return []row{
		{"up of an existing environment until Jupyter answers", median(ours), median(theirs), "s", "docker run of the same image", false, 1.1},
		{"… until the first cell's result", median(oursCell), median(theirsCell), "s", "docker run of the same image", false, 1.1},
	}, nil
}

func (b *bench) imageOf(ctx context.Context, dir, name string) (string, error) {
	out, err := b.masu(ctx, dir, "ls", "--json")
	if err != nil {
		return "", err
	}
	_, after, ok := strings.Cut(out, `"image"`)
	if !ok {
		return "", fmt.Errorf("masu ls --json names no image for %s: %s", name, out)
	}
	return strings.Split(after, `"`)[1], nil
}

// plainDocker does by hand what the guide does: run the image, wait for Jupyter, run a cell.
func plainDocker(ctx context.Context, image, dir string) (ready, cell float64, err error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "docker", "run", "-d", "-v", dir+":/work", "-w", "/work", "--entrypoint", "jupyter-lab", image,
		"--allow-root", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--ServerApp.token=", "--ServerApp.password=", "--ServerApp.allow_remote_access=True").CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("docker run: %w: %s", err, out)
	}
	id := strings.TrimSpace(string(out))
	defer func() { _ = exec.Command("docker", "rm", "-f", id).Run() }()
	ip, err := exec.CommandContext(ctx, "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id).Output()
	if err != nil {
		return 0, 0, err
	}
	base := "http://" + strings.TrimSpace(string(ip)) + ":8888"
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(base + "/api/status")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("Jupyter in plain docker does not answer")
		}
	}
	ready = time.Since(begin).Seconds()
	jar, _ := cookiejar.New(nil)
	k := &kernel.Client{HTTP: &http.Client{Jar: jar}, Base: base}
	if _, err := k.Run(ctx, "print(6*7)"); err != nil {
		return 0, 0, err
	}
	return ready, time.Since(begin).Seconds(), nil
}

// benchRebuild adds one apt package to an environment, against the guide's
// Dockerfile with all packages in a single RUN.
func benchRebuild(ctx context.Context, b *bench) ([]row, error) {
	const before, added = "git, less, tree", "htop"
	base, forget, err := b.freshBase(ctx)
	if err != nil {
		return nil, err
	}
	defer forget()
	dir, err := b.project("rebuilt", map[string]string{"masu.yaml": "base: " + base + "\napt: [" + before + "]\n"})
	if err != nil {
		return nil, err
	}
	if _, err := b.masu(ctx, dir, "up", "--no-check", "--quiet", "--no-open"); err != nil {
		return nil, err
	}
	image, err := b.imageOf(ctx, dir, "rebuilt")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/masu.yaml", []byte("base: "+base+"\napt: ["+before+", "+added+"]\n"), 0o644); err != nil {
		return nil, err
	}
	begin := time.Now()
	if _, err := b.masu(ctx, dir, "build"); err != nil {
		return nil, err
	}
	ours := time.Since(begin).Seconds()
	begin = time.Now()
	if _, err := b.masu(ctx, dir, "build"); err != nil {
		return nil, err
	}
	cached := time.Since(begin).Seconds()
	theirs, err := guideRebuild(ctx, b, image, added)
	return []row{
		{"rebuild after adding one apt package", ours, theirs, "s", "docker build of the guide's single RUN", false, 0.1},
		{"rebuild of nothing new", cached, 0, "s", "", false, 0},
	}, err
}

// freshBase is the default base with one file that no run before had: what
// they left in the builder's cache is of no use here.
func (b *bench) freshBase(ctx context.Context) (ref string, forget func(), err error) {
	ref = "masu-bench/debian:trixie-" + strings.ToLower(rand.Text()[:8])
	dir, err := b.project("base", map[string]string{"Dockerfile": "FROM debian:trixie-slim\nRUN echo " + ref + " >/etc/masu-bench\n"})
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "docker", "build", "-q", "-t", ref, dir)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("docker build: %w: %s", err, out)
	}
	return ref, func() { _ = exec.Command("docker", "rmi", "-f", ref).Run() }, nil
}

// guideRebuild times a build of the guide's kind of Dockerfile after its one RUN line has changed.
func guideRebuild(ctx context.Context, b *bench, image, added string) (float64, error) {
	base, err := exec.CommandContext(ctx, "docker", "inspect", "-f", `{{index .Config.Labels "masu.base"}}`, image).Output()
	if err != nil {
		return 0, err
	}
	dockerfile := func(packages string) string {
		return "FROM " + strings.TrimSpace(string(base)) + "\nRUN apt-get update && apt-get install -y --no-install-recommends " + packages + " && apt-get clean && rm -rf /var/lib/apt/lists/*\n"
	}
	const packages = "python3 python3-pip python3-venv build-essential git less tree sudo curl ca-certificates"
	build := func(text string) (float64, error) {
		dir, err := b.project("guide", map[string]string{"Dockerfile": text})
		if err != nil {
			return 0, err
		}
		cmd := exec.CommandContext(ctx, "docker", "build", "-q", "-t", "masu-bench/guide", dir)
		cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0") // the classic builder: the engine's own, without a plugin
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("docker build: %w: %s", err, out)
		}
		return time.Since(begin).Seconds(), nil
	}
	defer func() { _ = exec.Command("docker", "rmi", "-f", "masu-bench/guide").Run() }()
	if _, err := build(dockerfile(packages)); err != nil {
		return 0, err
	}
	return build(dockerfile(packages + " " + added))
}
