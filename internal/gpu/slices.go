package gpu

import (
	"context"
	"html"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	sliceEvery = 2 * time.Second // nvidia-smi tells of slices only together with all else that it knows
	mostParts  = 4096            // slices and processes of a report
	mostNested = 256             // bytes of the names of elements that one line is in
)

// place is where a slice is found in a report, which does not name it: the driver numbers the slices of each card.
type place struct {
	card   masu.GPUID
	device string
}

// followSlices reads how slices do for as long as there are some.
func (i *Inventory) followSlices(ctx context.Context) error {
	for ctx.Err() == nil {
		if i.meter.sliced() {
			run, stop := context.WithCancel(ctx)
			r := report{take: func(cards []reported) {
				i.meter.takeSlices(cards)
				if !i.meter.sliced() {
					stop()
				}
			}}
			i.once(run, r.line, "-q", "-x", "--loop-ms="+strconv.FormatInt((i.meter.every*time.Duration(sliceEvery/meterEvery)).Milliseconds(), 10))
			stop()
		}
		rest(ctx)
	}
	return nil
}

// report reads what nvidia-smi -q -x says, one element a line: some hundred
// lines for each card, of which few are about slices. How busy one is, none says.
type report struct {
	take func([]reported)

	within string // the elements that the next line is in, "/gpu/mig_devices/mig_device"
	cards  []reported
	parts  int
}

// reported is what a report says of a card.
type reported struct {
	id        string
	slices    []fields
	processes []fields
}

// fields are the elements of a slice or a process, by their names.
type fields map[string]string

const (
	ofReport  = "/nvidia_smi_log"
	ofCard    = ofReport + "/gpu"
	ofSlice   = ofCard + "/mig_devices/mig_device"
	ofProcess = ofCard + "/processes/process_info"
)

// line takes the next line. A report counts when it has ended.
func (r *report) line(text string) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "<") || strings.HasPrefix(text, "<?") || strings.HasPrefix(text, "<!") {
		return // what stands before a report, or a complaint
	}
	name, value, _ := strings.Cut(text[1:], ">")
	name, _, _ = strings.Cut(name, " ")
	switch {
	case name == ofReport[1:]:
		r.within, r.cards, r.parts = ofReport, nil, 0
	case name == ofReport:
		if r.within == ofReport {
			r.take(r.cards)
		}
		r.within = ""
	case r.within == "" || len(r.within) > mostNested || r.parts > mostParts: // one that cannot be read
		r.within = ""
	case strings.HasPrefix(name, "/"):
		r.within = strings.TrimSuffix(r.within, name)
	case strings.HasSuffix(value, "</"+name+">"):
		r.field(name, html.UnescapeString(strings.TrimSuffix(value, "</"+name+">")))
	default:
		r.within += "/" + name
		r.begin()
	}
}

// begin notes that a card, a slice or a process begins.
func (r *report) begin() {
	if r.within == ofCard {
		r.cards = append(r.cards, reported{})
	}
	if len(r.cards) == 0 {
		return
	}
	switch c := &r.cards[len(r.cards)-1]; r.within {
	case ofSlice:
		c.slices = append(c.slices, fields{})
	case ofProcess:
		c.processes = append(c.processes, fields{})
	default:
		return
	}
	r.parts++
}

// field takes an element that holds no other.
func (r *report) field(name, value string) {
	if len(r.cards) == 0 {
		return
	}
	c := &r.cards[len(r.cards)-1]
	if r.within == ofCard && name == "uuid" {
		c.id = value
	} else if inside, ok := strings.CutPrefix(r.within, ofSlice); ok && len(c.slices) > 0 {
		c.slices[len(c.slices)-1][inside+"/"+name] = value
	} else if inside, ok := strings.CutPrefix(r.within, ofProcess); ok && len(c.processes) > 0 {
		c.processes[len(c.processes)-1][inside+"/"+name] = value
	}
}

// name says which slice, and which card, is where.
func (m *meter) name(named map[place]masu.GPUID, gpus []masu.GPU) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named, m.indexes = named, map[string]masu.GPUID{}
	for _, g := range gpus {
		if g.Parent == "" {
			m.indexes[strconv.Itoa(g.Index)] = g.ID
		}
	}
}

// sliced tells whether a card has been cut up.
func (m *meter) sliced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.named) > 0
}

// takeSlices takes what a report says of slices.
func (m *meter) takeSlices(cards []reported) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.slices = map[masu.GPUID]masu.Reading{}
	for _, c := range cards {
		for _, s := range c.slices {
			id, ok := m.named[place{masu.GPUID(c.id), s["/index"]}]
			if !ok {
				continue // new, and not listed yet
			}
			r := masu.Reading{GPU: id, At: now, Busy: -1, Memory: mebibytes(s["/fb_memory_usage/used"]), Temperature: -1, Power: -1,
				Faults: int(number(s["/ecc_error_count/volatile_count/sram_uncorrectable"]))}
			for _, p := range c.processes {
				pid, err := strconv.Atoi(p["/pid"])
				if err == nil && pid > 0 && p["/gpu_instance_id"] == s["/gpu_instance_id"] && p["/compute_instance_id"] == s["/compute_instance_id"] {
					r.Processes = append(r.Processes, masu.GPUProcess{PID: pid, Name: p["/process_name"], Memory: mebibytes(p["/used_memory"])})
				}
			}
			slices.SortFunc(r.Processes, largestFirst)
			m.slices[id] = r
		}
	}
}

// mebibytes reads "37 MiB"; -1 where a card does not tell.
func mebibytes(s string) masu.Bytes {
	said, ok := strings.CutSuffix(s, " MiB")
	if n := number(said); ok && n >= 0 {
		return masu.Bytes(n) * masu.MiB
	}
	return -1
}
