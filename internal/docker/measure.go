package docker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/gauge"
)

// sample is the CPU time that a box had used at a moment.
type sample struct {
	container string
	used      time.Duration
	at        time.Time
}

// Measure tells what a running box uses: its CPU as the mean since the last
// Measure, or over one second the first time.
func (r *Runtime) Measure(ctx context.Context, id masu.WorkspaceID) (masu.Load, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	c, err := r.running(ctx, id)
	if err != nil {
		return masu.Load{}, err
	}
	r.mu.Lock()
	last, ok := r.samples[id]
	r.mu.Unlock()
	ok = ok && last.container == c.ID
	res, err := r.api.ContainerStats(ctx, c.ID, client.ContainerStatsOptions{IncludePreviousSample: !ok})
	if err != nil {
		return masu.Load{}, r.failed("stats", err)
	}
	defer res.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return masu.Load{}, r.failed("stats", err)
	}
	if !ok {
		last = sample{used: time.Duration(s.PreCPUStats.CPUUsage.TotalUsage), at: s.PreRead}
	}
	now := sample{container: c.ID, used: time.Duration(s.CPUStats.CPUUsage.TotalUsage), at: s.Read}
	r.mu.Lock()
	r.samples[id] = now
	r.mu.Unlock()
	return load(last, now, s), nil
}

func load(last, now sample, s container.StatsResponse) masu.Load {
	l := masu.Load{
		Memory:      masu.Bytes(s.MemoryStats.Usage),
		MemoryLimit: masu.Bytes(s.MemoryStats.Limit),
		PIDs:        int(s.PidsStats.Current),
	}
	// The page cache is given back when somebody needs it. (total_inactive_file: cgroup v1; inactive_file: v2.)
	for _, key := range []string{"total_inactive_file", "inactive_file"} {
		if cache := masu.Bytes(s.MemoryStats.Stats[key]); cache > 0 && cache < l.Memory {
			l.Memory -= cache
			break
		}
	}
	if wall := now.at.Sub(last.at); wall > 0 && now.used > last.used {
		l.CPU = float64(now.used-last.used) / float64(wall)
	}
	return l
}

// Used reads the box's control group, without the engine.
func (r *Runtime) Used(ctx context.Context, id masu.WorkspaceID) (masu.Use, error) {
	p, cached := r.cached(id)
	if cached {
		if u, err := gauge.Used(p.pid, p.container); err == nil {
			return u, nil
		}
	}
	p, err := r.look(ctx, id) // what was remembered may be of a box that has been restarted since
	if err != nil {
		return masu.Use{}, err
	}
	u, err := gauge.Used(p.pid, p.container)
	if err != nil {
		return u, masu.E(masu.Conflict, "box_not_running", id).Because(err) // it has just ended, or its groups are hidden from us
	}
	return u, nil
}

// Disk asks the bound on the box's folders, where one is held; elsewhere it adds
// up the box's own layer, as the engine tells it, and its volumes.
func (r *Runtime) Disk(ctx context.Context, id masu.WorkspaceID) (used, most masu.Bytes, err error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	c, err := r.running(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	if used, most = r.diskBound(id, c); most > 0 {
		return used, most, nil
	}
	res, err := r.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{Size: true})
	if err != nil {
		return 0, 0, r.failed("inspect", err)
	}
	var sum masu.Bytes
	if own := res.Container.SizeRw; own != nil {
		sum = masu.Bytes(*own)
	}
	for _, m := range res.Container.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		used, err := gauge.Disk(ctx, m.Source)
		if err != nil {
			return 0, 0, masu.E(masu.Denied, "disk_unseen", m.Name).Because(err)
		}
		sum += used
	}
	return sum, 0, nil
}
