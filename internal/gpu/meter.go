package gpu

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
)

const (
	meterEvery = time.Second
	meterStale = 5 * time.Second  // what is older is not known: the driver hangs, or the card is gone
	meterRest  = 10 * time.Second // before a reader that has ended is started again
)

const (
	stateFields   = "uuid,utilization.gpu,memory.used,temperature.gpu,power.draw,ecc.errors.uncorrected.volatile.total"
	processFields = "gpu_uuid,pid,used_memory,process_name"
)

// meter holds what the last lines of nvidia-smi said. One that runs on and
// prints each second costs far less than one that is started each second, for
// most of its work is to wake the driver.
type meter struct {
	every time.Duration
	now   func() time.Time

	mu        sync.Mutex
	cards     map[masu.GPUID]masu.Reading
	processes map[processKey]process
	buses     map[masu.GPUID]string     // where each card is
	faults    map[masu.GPUID]masu.Fault // as the card itself says
	xids      map[string]int            // the last severe one of the kernel's log, by place
	shares    map[processKey]share      // what cards compute for whom
	indexes   map[string]masu.GPUID     // the cards, as a list of shares calls them
	named     map[place]masu.GPUID      // the slices that there are
	slices    map[masu.GPUID]masu.Reading
}

type processKey struct {
	gpu masu.GPUID
	pid int
}

type process struct {
	masu.GPUProcess
	seen time.Time
}

// share is the part of a moment in which a card computed for a process.
type share struct {
	busy float64
	seen time.Time
}

func newMeter() *meter {
	return &meter{every: meterEvery, now: time.Now, cards: map[masu.GPUID]masu.Reading{}, processes: map[processKey]process{},
		shares: map[processKey]share{}, buses: map[masu.GPUID]string{}, faults: map[masu.GPUID]masu.Fault{}, xids: map[string]int{}}
}

// Run reads until ctx ends. It returns at once where there is no driver.
func (i *Inventory) Run(ctx context.Context) error {
	if i.command == "" {
		return nil
	}
	if q, err := i.get(ctx); err == nil && len(q.gpus) == 0 {
		return nil // the program without a card
	}
	loop := "--loop-ms=" + strconv.FormatInt(i.meter.every.Milliseconds(), 10)
	var g errgroup.Group
	g.Go(func() error {
		return i.follow(ctx, i.meter.takeState, "--query-gpu="+stateFields, "--format=csv,noheader,nounits", loop)
	})
	g.Go(func() error {
		return i.follow(ctx, i.meter.takeProcess, "--query-compute-apps="+processFields, "--format=csv,noheader,nounits", loop)
	})
	g.Go(func() error { return i.followShares(ctx) })
	g.Go(func() error { return i.followSlices(ctx) })
	g.Go(func() error { return i.followHealth(ctx) })
	g.Go(func() error { return i.followKernel(ctx, kernelLog) })
	return g.Wait()
}

// follow runs nvidia-smi and takes its lines, again and again until ctx ends.
func (i *Inventory) follow(ctx context.Context, take func(line string), args ...string) error {
	for ctx.Err() == nil {
		i.once(ctx, take, args...)
		rest(ctx)
	}
	return nil
}

func readLines(r io.Reader, take func(string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		take(s.Text())
	}
}

// Readings gives what was read within the last seconds, by card and by slice.
func (i *Inventory) Readings(context.Context) ([]masu.Reading, error) {
	return i.meter.readings(), nil
}

func (m *meter) readings() []masu.Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var all []masu.Reading
	for _, r := range m.cards {
		if now.Sub(r.At) > meterStale {
			continue
		}
		for k, p := range m.processes {
			if now.Sub(p.seen) > meterStale {
				delete(m.processes, k)
			} else if k.gpu == r.GPU {
				if s := m.shares[k]; now.Sub(s.seen) <= meterStale {
					p.Busy = s.busy
				}
				r.Processes = append(r.Processes, p.GPUProcess)
			}
		}
		slices.SortFunc(r.Processes, largestFirst)
		all = append(all, r)
	}
	for _, r := range m.slices {
		if now.Sub(r.At) <= meterStale {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b masu.Reading) int { return cmp.Compare(a.GPU, b.GPU) })
	return all
}

func largestFirst(a, b masu.GPUProcess) int {
	return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.PID, b.PID))
}

// takeState reads a line about a card.
func (m *meter) takeState(line string) {
	v := strings.Split(line, ",")
	if len(v) != strings.Count(stateFields, ",")+1 || !strings.HasPrefix(strings.TrimSpace(v[0]), "GPU-") {
		return // a complaint
	}
	r := masu.Reading{GPU: masu.GPUID(strings.TrimSpace(v[0])), At: m.now(), Busy: number(v[1]), Memory: masu.Bytes(number(v[2])), Temperature: number(v[3]), Power: number(v[4]), Faults: int(number(v[5]))}
	if r.Busy >= 0 {
		r.Busy /= 100
	}
	if r.Memory > 0 {
		r.Memory *= masu.MiB
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cards[r.GPU] = r
}

// takeProcess reads a line about a process; a name may hold commas.
func (m *meter) takeProcess(line string) {
	v := strings.SplitN(line, ",", strings.Count(processFields, ",")+1)
	if len(v) != strings.Count(processFields, ",")+1 {
		return
	}
	gpu, name := masu.GPUID(strings.TrimSpace(v[0])), strings.TrimSpace(v[3])
	pid, err := strconv.Atoi(strings.TrimSpace(v[1]))
	if err != nil || pid <= 0 || !strings.HasPrefix(string(gpu), "GPU-") {
		return
	}
	p := process{masu.GPUProcess{PID: pid, Name: name, Memory: -1}, m.now()}
	if mib := number(v[2]); mib >= 0 {
		p.Memory = masu.Bytes(mib) * masu.MiB
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.processes[processKey{gpu, pid}] = p
}

// followShares reads for which processes cards compute. Not every card tells: then it asks seldom.
func (i *Inventory) followShares(ctx context.Context) error {
	for ctx.Err() == nil {
		told := false
		i.once(ctx, func(line string) { told = i.meter.takeShare(line) || told }, "pmon", "-s", "u", "-d", "2")
		rest(ctx)
		for n := 0; !told && n < 5; n++ {
			rest(ctx)
		}
	}
	return nil
}

// takeShare reads a line about a process: "0  31337  C  97  40  -  -  python3". A
// process for which nothing was computed has a dash, as one of which nobody knows.
func (m *meter) takeShare(line string) bool {
	v := strings.Fields(line)
	if len(v) < 4 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	gpu, pid, busy := m.indexes[v[0]], int(number(v[1])), number(v[3])
	if gpu == "" || pid <= 0 || busy < 0 || len(m.shares) > mostParts {
		return false
	}
	now := m.now()
	for k, s := range m.shares {
		if now.Sub(s.seen) > meterStale {
			delete(m.shares, k)
		}
	}
	m.shares[processKey{gpu, pid}] = share{min(busy/100, 1), now}
	return true
}

// number reads what a card tells, or -1: "[N/A]", "[Not Supported]", "[Unknown Error]".
func number(s string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || n < 0 || n > 1e9 {
		return -1
	}
	return n
}
