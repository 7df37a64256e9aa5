package gpu

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

const (
	healthEvery  = 10 * time.Second
	kernelLog    = "/dev/kmsg"
	mostLogEntry = 8 << 10 // bytes; the kernel's own bound
)

// healthFields are what cards say about their health, as far as a driver knows them.
var healthFields = []string{"uuid", "pci.bus_id", "retired_pages.pending", "remapped_rows.pending", "remapped_rows.failure", "gpu_recovery_action"}

// severe are the Xids, as NVIDIA calls the errors in the kernel's log, after
// which a card cannot be trusted until it was reset. Others are a program's own.
var severe = []int{46, 48, 62, 64, 74, 79, 92, 94, 95, 119, 120, 140}

var (
	xidLine    = regexp.MustCompile(`^[0-7],[^;]*;NVRM: Xid \(PCI:([0-9a-fA-F:.]{8,16})\): ([0-9]{1,3})\b`) // of the kernel itself: what programs write has a higher number
	busForm    = regexp.MustCompile(`^([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.[0-7])?$`)
	wrongField = regexp.MustCompile(`^Field "([a-z_.]+)" is not a valid field`)
)

// Fault tells why a card is not lent anew; "" for one that is well.
func (m *meter) fault(id masu.GPUID) masu.Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	if xid := m.xids[m.buses[id]]; xid != 0 {
		return masu.Fault("xid " + strconv.Itoa(xid))
	}
	return m.faults[id]
}

// followHealth asks the cards now and then; what a driver does not know is not asked again.
func (i *Inventory) followHealth(ctx context.Context) error {
	fields := slices.Clone(healthFields)
	for ctx.Err() == nil {
		unknown := ""
		run, stop := context.WithCancel(ctx)
		i.once(run, func(line string) {
			if m := wrongField.FindStringSubmatch(line); m != nil && slices.Contains(fields[1:], m[1]) {
				unknown = m[1]
				stop()
				return
			}
			i.meter.takeHealth(line, fields)
		}, "--query-gpu="+strings.Join(fields, ","), "--format=csv,noheader,nounits", "--loop-ms="+strconv.FormatInt((i.meter.every*time.Duration(healthEvery/meterEvery)).Milliseconds(), 10))
		stop()
		if unknown != "" {
			fields = slices.DeleteFunc(fields, func(f string) bool { return f == unknown })
			continue
		}
		rest(ctx)
	}
	return nil
}

// once runs nvidia-smi and takes its lines until it, or ctx, ends. Why it
// ended does not matter: what it no longer says is not known.
func (i *Inventory) once(ctx context.Context, take func(line string), args ...string) {
	cmd := exec.CommandContext(ctx, i.command, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	if out, err := cmd.StdoutPipe(); err == nil && cmd.Start() == nil {
		readLines(out, take)
		_ = cmd.Wait()
	}
}

// rest waits before a reader that has ended is started again.
func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(meterRest):
	}
}

// takeHealth reads a line about a card.
func (m *meter) takeHealth(line string, fields []string) {
	v := strings.Split(line, ",")
	if len(v) != len(fields) || !strings.HasPrefix(v[0], "GPU-") {
		return // a complaint
	}
	says := map[string]string{}
	for i, f := range fields {
		says[f] = strings.TrimSpace(v[i])
	}
	var fault masu.Fault
	switch {
	case says["remapped_rows.failure"] == "Yes":
		fault = masu.FaultWorn
	case strings.Contains(says["gpu_recovery_action"], "Reset"), strings.Contains(says["gpu_recovery_action"], "Reboot"):
		fault = masu.FaultReset
	case says["retired_pages.pending"] == "Yes", says["remapped_rows.pending"] == "Yes":
		fault = masu.FaultPending
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := masu.GPUID(says["uuid"])
	m.buses[id], m.faults[id] = busOf(says["pci.bus_id"]), fault
}

// busOf writes a card's place on the bus in one way: nvidia-smi says "00000000:3B:00.0", the kernel "0000:3b:00".
func busOf(s string) string {
	m := busForm.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	domain := strings.TrimLeft(m[1], "0")
	return strings.ToLower(domain + ":" + m[2] + ":" + m[3])
}

// takeKernel reads an entry of the kernel's log.
func (m *meter) takeKernel(entry string) {
	x := xidLine.FindStringSubmatch(entry)
	if x == nil {
		return
	}
	xid, bus := int(number(x[2])), busOf(x[1])
	if bus == "" || !slices.Contains(severe, xid) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.xids[bus] = xid
}

// followKernel reads what the kernel logs from now on. Earlier errors may have
// been mended by a reset since; the daemon's start is the admin's word for it.
func (i *Inventory) followKernel(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil // without the right to read it, or in a container
	}
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return nil
	}
	for b := make([]byte, mostLogEntry); ; {
		n, err := f.Read(b)
		switch {
		case errors.Is(err, syscall.EPIPE): // entries were overwritten before they were read
		case err != nil:
			return nil
		default:
			i.meter.takeKernel(string(b[:n])) // each read is one entry
		}
	}
}
