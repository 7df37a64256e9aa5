package host

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// ticks is what the processors have done since the machine started, in the kernel's own unit.
type ticks struct{ busy, all float64 }

// Usage tells what of the machine is used: the processors as the mean since it
// was asked last, or since the machine started.
func (h *Host) Usage() (masu.Usage, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return masu.Usage{}, fmt.Errorf("host: usage: %w", err)
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return masu.Usage{}, fmt.Errorf("host: usage: %w", err)
	}
	now, cores := readTicks(stat)
	h.mu.Lock()
	last := h.ticks
	h.ticks = now
	h.mu.Unlock()
	u := masu.Usage{Memory: readMemory(memory), CPU: masu.Fill{Total: float64(cores)}}
	if d := now.all - last.all; d > 0 {
		u.CPU.Used = float64(cores) * (now.busy - last.busy) / d
	}
	return u, nil
}

// readTicks reads /proc/stat; see proc(5). Idle and waiting for a disk are not busy.
func readTicks(stat []byte) (t ticks, cores int) {
	for line := range bytes.Lines(stat) {
		f := strings.Fields(string(line))
		if len(f) < 5 || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		if f[0] != "cpu" {
			cores++
			continue
		}
		for i, s := range f[1:min(len(f), 9)] { // guest time is counted in user time already
			n, _ := strconv.ParseFloat(s, 64) // the kernel writes numbers
			t.all += n
			if i != 3 && i != 4 {
				t.busy += n
			}
		}
	}
	return t, cores
}

// readMemory reads /proc/meminfo: what is not available is used.
func readMemory(b []byte) masu.Fill {
	values := map[string]float64{}
	for line := range bytes.Lines(b) {
		name, rest, _ := strings.Cut(string(line), ":")
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseFloat(f[0], 64) // the kernel writes numbers
			values[name] = n * 1024
		}
	}
	return masu.Fill{Used: values["MemTotal"] - values["MemAvailable"], Total: values["MemTotal"]}
}
