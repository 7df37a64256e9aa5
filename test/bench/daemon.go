package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

// many is how many workspaces a large lab's daemon knows.
const many = 200

// benchDaemon measures what the daemon itself costs.
func benchDaemon(ctx context.Context, b *bench) ([]row, error) {
	dir, err := b.project("kept", map[string]string{"masu.yaml": "preset: python\n"})
	if err != nil {
		return nil, err
	}
	if _, err := b.masu(ctx, dir, "up", "--no-check", "--quiet", "--no-open"); err != nil {
		return nil, err
	}
	one, err := b.rss()
	if err != nil {
		return nil, err
	}
	ls, ps, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.stopped(ctx, dir, many-1); err != nil {
		return nil, err
	}
	all, err := b.rss()
	return []row{
		{"`masu ls`", ls, ps, "ms", "docker ps", false, 1},
		{"daemon's memory, 1 workspace running", one, 0, "MiB", "", false, 0},
		{fmt.Sprintf("daemon's memory, %d workspaces, 1 running", many), all, one, "MiB", "1 workspace", false, 0},
	}, err
}

// stopped makes workspaces that do not run. Each is wished for and stopped at
// once: what the daemon keeps of it does not depend on how far it came.
func (b *bench) stopped(ctx context.Context, dir string, n int) error {
	client, err := api.Dial(ctx, b.socket, api.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range n {
		name := fmt.Sprintf("kept-%d", i)
		if _, err := client.Up(ctx, masu.UpRequest{Dir: dir, Name: name}); err != nil {
			return err
		}
		if _, err := client.Stop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// rss is the daemon's resident memory in MiB.
func (b *bench) rss() (float64, error) {
	m, err := treeMemory(b.daemon.Process.Pid)
	return m.resident, err
}

// list times `masu ls` and `docker ps` in turn, in milliseconds.
func (b *bench) list(ctx context.Context) (ls, ps float64, err error) {
	var ours, theirs []float64
	for range 21 {
		begin := time.Now()
		if _, err := b.masu(ctx, "", "ls"); err != nil {
			return 0, 0, err
		}
		ours = append(ours, time.Since(begin).Seconds()*1e3)
		begin = time.Now()
		if err := exec.CommandContext(ctx, "docker", "ps").Run(); err != nil {
			return 0, 0, err
		}
		theirs = append(theirs, time.Since(begin).Seconds()*1e3)
	}
	return median(ours), median(theirs), nil
}
