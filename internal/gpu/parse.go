package gpu

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// card is a line of the driver's answer.
type card struct {
	masu.GPU
	mig    bool // in MIG mode: only its slices can be used
	driver string
}

// parseCards reads the CSV lines whose fields are named. Lines of another
// shape are complaints about a single card, and are passed over.
func parseCards(text string, fields []string) []card {
	var cards []card
	for line := range strings.Lines(text) {
		values := strings.Split(strings.TrimSpace(line), ", ")
		if len(values) < len(fields) {
			continue
		}
		// A model's name could hold a comma; it is the only field that can.
		extra := len(values) - len(fields)
		values = append(append(values[:2:2], strings.Join(values[2:3+extra], ", ")), values[3+extra:]...)
		if c, ok := parseCard(values, fields); ok {
			cards = append(cards, c)
		}
	}
	return cards
}

func parseCard(values, fields []string) (card, bool) {
	var c card
	for i, f := range fields {
		v := strings.TrimSpace(values[i])
		switch f {
		case "index":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return c, false
			}
			c.Index = n
		case "uuid":
			c.ID = masu.GPUID(v)
		case "name":
			c.Model = v
		case "memory.total": // MiB; "[N/A]" where the GPU shares the host's memory
			if n, err := strconv.ParseInt(v, 10, 32); err == nil && n > 0 {
				c.Memory = masu.Bytes(n) * masu.MiB
			}
		case "compute_cap":
			if capability.MatchString(v) {
				c.Capability = v
			}
		case "mig.mode.current":
			c.mig = v == "Enabled"
		case "driver_version":
			c.driver = v
		}
	}
	return c, strings.HasPrefix(string(c.ID), "GPU-")
}

var (
	capability = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]$`)
	cardLine   = regexp.MustCompile(`^GPU [0-9]+: .*\(UUID: (GPU-[^)]+)\)`)
	sliceLine  = regexp.MustCompile(`^\s+MIG (\S*?([0-9]{1,4})gb\S*)\s+Device\s+([0-9]+): \(UUID: (MIG-[^)]+)\)`)
)

// parseSlices reads the answer to nvidia-smi -L: the slices of each card, and where reports tell of them.
func parseSlices(text string) (slices map[masu.GPUID][]masu.GPU, named map[place]masu.GPUID) {
	slices, named = map[masu.GPUID][]masu.GPU{}, map[place]masu.GPUID{}
	var parent masu.GPUID
	for line := range strings.Lines(text) {
		if m := cardLine.FindStringSubmatch(line); m != nil {
			parent = masu.GPUID(m[1])
		} else if m := sliceLine.FindStringSubmatch(line); m != nil && parent != "" {
			gib, err := strconv.Atoi(m[2])
			if err != nil {
				continue
			}
			slices[parent] = append(slices[parent], masu.GPU{
				ID: masu.GPUID(m[4]), Parent: parent, Model: "MIG " + m[1], Memory: masu.Bytes(gib) * masu.GiB,
			})
			named[place{parent, m[3]}] = masu.GPUID(m[4])
		}
	}
	return slices, named
}

// withSlices puts slices in the place of the cards that have been cut up.
func withSlices(cards []card, slices map[masu.GPUID][]masu.GPU) []masu.GPU {
	var out []masu.GPU
	for _, c := range cards {
		if !c.mig {
			out = append(out, c.GPU)
			continue
		}
		for _, s := range slices[c.ID] {
			s.Model = c.Model + " " + s.Model
			s.Index, s.Capability = c.Index, c.Capability
			out = append(out, s)
		}
	}
	return out
}
