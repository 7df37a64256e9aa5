// Package gpu knows the GPUs of this host by asking nvidia-smi, and those of
// other makers by the specifications of the Container Device Interface. It
// links nothing of NVIDIA's: the binary stays static, runs where there is no
// driver, and a driver that hangs can hang a child process only.
package gpu

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// Config says how to ask. The zero Config is right for every host.
type Config struct {
	Command  string        // path of nvidia-smi; "" looks for it
	Deadline time.Duration // how long an answer may take; 0 means 20 s (a driver without persistence mode needs several)
	Keep     time.Duration // how long an answer is used again; 0 means 30 s

	Folders func(context.Context) ([]string, error) // from which the engine gives CDI devices; nil: it gives none
	Kinds   []string                                // of CDI devices that are lent besides the makers' own
}

// Inventory is a masu.Inventory for NVIDIA's driver, and for CDI devices.
type Inventory struct {
	deadline, keep time.Duration
	command        string // "" without nvidia-smi
	meter          *meter
	ask            func(ctx context.Context, args ...string) ([]byte, error) // nil without nvidia-smi
	kinds          []string                                                  // of CDI devices that are lent
	specs          shelf
	folders        folders

	mu   sync.Mutex
	last *query
}

// folders are those of CDI specifications, as the engine told.
type folders struct {
	ask func(context.Context) ([]string, error)

	mu      sync.Mutex
	askedAt time.Time
	dirs    []string
	err     error // it has never told
}

var (
	_ masu.Inventory = (*Inventory)(nil)
	_ masu.Meter     = (*Inventory)(nil)
)

// query is one examination of the host; its result is there when done is closed.
type query struct {
	done    chan struct{}
	started time.Time
	ended   time.Time
	gpus    []masu.GPU
	driver  string
	err     error
}

// New looks for nvidia-smi, once. Without it the host has no GPU but by CDI.
func New(c Config) (*Inventory, error) {
	i := &Inventory{deadline: c.Deadline, keep: c.Keep, meter: newMeter(), folders: folders{ask: c.Folders}}
	if i.deadline == 0 {
		i.deadline = 20 * time.Second
	}
	if i.keep == 0 {
		i.keep = 30 * time.Second
	}
	if c.Command == "" {
		c.Command = find()
	}
	if i.command = c.Command; c.Command != "" {
		i.ask = func(ctx context.Context, args ...string) ([]byte, error) { return run(ctx, c.Command, args...) }
	}
	for _, kind := range append(slices.Clone(makers), c.Kinds...) {
		if i.command == "" || kind != nvidia { // which nvidia-smi lists already
			i.kinds = append(i.kinds, kind)
		}
	}
	return i, nil
}

// find gives the path of nvidia-smi, also in the place where WSL puts it; "" if there is none.
func find() string {
	for _, name := range []string{"nvidia-smi", "/usr/bin/nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func run(ctx context.Context, command string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	return cmd.Output()
}

// GPUs lists what can be lent, by index: each card, or its MIG slices in its
// place, then the CDI devices. A card in MIG mode without slices cannot be lent and is left out. A
// driver that does not answer is Unreachable "gpu_hangs"; one whose parts do
// not fit, as after an update, is Unreachable "gpu_driver_mismatch".
func (i *Inventory) GPUs(ctx context.Context) ([]masu.GPU, error) {
	q, err := i.get(ctx)
	if err != nil {
		return nil, err
	}
	dirs, err := i.folders.get(ctx, i.keep)
	if err != nil {
		return nil, err
	}
	gpus := slices.Clone(q.gpus)
	next := 0
	for n, g := range gpus {
		next = max(next, g.Index+1)
		gpus[n].Fault = i.meter.fault(g.Card())
	}
	more, _ := i.Devices(dirs) // what is wrong with them is doctor's business
	for n, g := range more {
		g.Index = next + n
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// Devices lists the CDI devices of some folders that masu lends, and what is wrong there.
func (i *Inventory) Devices(dirs []string) ([]masu.GPU, []masu.Finding) {
	return i.specs.devices(dirs, i.kinds)
}

// get asks the engine now and then. While it does not answer, what it said before holds.
func (f *folders) get(ctx context.Context, keep time.Duration) ([]string, error) {
	if f.ask == nil {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.askedAt.IsZero() && time.Since(f.askedAt) < keep && f.err == nil {
		return f.dirs, nil
	}
	dirs, err := f.ask(ctx)
	switch {
	case err == nil:
		f.dirs, f.err = dirs, nil
	case f.askedAt.IsZero() || f.err != nil:
		f.err = err
	}
	f.askedAt = time.Now()
	return f.dirs, f.err
}

// Driver gives the driver's version, "" if there is no driver or no card.
func (i *Inventory) Driver(ctx context.Context) (string, error) {
	q, err := i.get(ctx)
	if err != nil {
		return "", err
	}
	return q.driver, nil
}

// get gives an answer that is fresh enough. Only one query runs at a time, so
// that a hanging driver holds one process and not one for each caller.
func (i *Inventory) get(ctx context.Context) (*query, error) {
	if i.ask == nil {
		return &query{}, nil
	}
	i.mu.Lock()
	q := i.last
	if q == nil || q.stale(i.keep) {
		q = &query{done: make(chan struct{}), started: time.Now()}
		i.last = q
		go i.examine(context.WithoutCancel(ctx), q)
	}
	i.mu.Unlock()
	if q.finished() {
		return q, q.err
	}
	timer := time.NewTimer(i.deadline - time.Since(q.started))
	defer timer.Stop()
	select {
	case <-q.done:
		return q, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		// A process in an uninterruptible call of the driver cannot even be killed.
		return nil, masu.E(masu.Unreachable, "gpu_hangs", i.deadline)
	}
}

func (q *query) finished() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// stale tells whether a new query must be made. One that still runs never is.
func (q *query) stale(keep time.Duration) bool {
	return q.finished() && (q.err != nil || time.Since(q.ended) > keep)
}

// examine asks the driver. It ends at the deadline, unless the driver holds its process.
func (i *Inventory) examine(ctx context.Context, q *query) {
	ctx, cancel := context.WithTimeout(ctx, i.deadline)
	defer cancel()
	var named map[place]masu.GPUID
	if q.gpus, named, q.driver, q.err = i.list(ctx); q.err == nil {
		i.meter.name(named, q.gpus)
	}
	if q.err != nil && ctx.Err() != nil {
		q.err = masu.E(masu.Unreachable, "gpu_hangs", i.deadline).Because(q.err)
	}
	q.ended = time.Now()
	close(q.done)
}

const (
	allFields = "index,uuid,name,memory.total,compute_cap,mig.mode.current,driver_version"
	oldFields = "index,uuid,name,memory.total,driver_version" // what drivers before 510 know
)

func (i *Inventory) list(ctx context.Context) (gpus []masu.GPU, named map[place]masu.GPUID, driver string, err error) {
	out, err := i.ask(ctx, "--query-gpu="+allFields, "--format=csv,noheader,nounits")
	fields := allFields
	if err != nil && bytes.Contains(said(out, err), []byte("not a valid field")) {
		fields = oldFields
		out, err = i.ask(ctx, "--query-gpu="+fields, "--format=csv,noheader,nounits")
	}
	cards := parseCards(string(out), strings.Split(fields, ","))
	if len(cards) == 0 {
		return nil, nil, "", failure(out, err)
	}
	// With a card lost the command fails, but the others can still be lent.
	sliced := false
	for _, c := range cards {
		sliced = sliced || c.mig
	}
	if !sliced {
		return withSlices(cards, nil), nil, cards[0].driver, nil
	}
	if out, err = i.ask(ctx, "-L"); err != nil && len(out) == 0 {
		return nil, nil, "", failure(out, err)
	}
	parts, named := parseSlices(string(out))
	return withSlices(cards, parts), named, cards[0].driver, nil
}

// said is everything that nvidia-smi has said; it complains on either stream.
func said(out []byte, err error) []byte {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return append(append([]byte(nil), out...), e.Stderr...)
	}
	return out
}

// failure sorts the reasons for which no card was listed. None is no error.
func failure(out []byte, err error) error {
	words := string(said(out, err))
	first, _, _ := strings.Cut(strings.TrimSpace(words), "\n")
	switch {
	case strings.Contains(words, "version mismatch"):
		return masu.E(masu.Unreachable, "gpu_driver_mismatch", first).Because(err)
	case err == nil, strings.Contains(words, "No devices were found"), strings.Contains(words, "couldn't communicate with the NVIDIA driver"):
		return nil // the program without the driver, or the driver without a card
	case first == "":
		first = err.Error()
	}
	return masu.E(masu.Unreachable, "gpu_query_failed", first).Because(err)
}
