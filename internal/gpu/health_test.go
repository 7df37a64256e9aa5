package gpu

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestHealth reads what cards say of themselves; an older driver does not know each question.
func TestHealth(t *testing.T) {
	for machine, want := range map[string]map[masu.GPUID]masu.Fault{
		"a100":     {"GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77": masu.FaultPending, "GPU-1f0e6b7e-24e2-9d0a-58b6-0a3a3e0a9c11": ""},
		"h100-mig": {"MIG-c788539f-c1ea-5a36-8b4d-9b07d024b1bb": masu.FaultReset, "MIG-405bbda1-6b05-535f-9702-f95e8cd170ce": masu.FaultReset, "MIG-b4b2228d-6933-5839-bc0e-41ab9edb61c6": masu.FaultReset, "GPU-0b1f4f0e-7a66-3f5d-9a51-5a4e2cf9d0aa": masu.FaultWorn},
		"rtx4090":  {"GPU-f6a3a1f4-4d53-0f6a-98a2-6c1f5b9b7d10": "", "GPU-2c1d7e58-93a5-11aa-7b0c-9f3e6a4c8d22": ""},
	} {
		i := open(t, machine)
		i.meter.every = time.Millisecond
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- i.followHealth(ctx) }()
		told := func() bool { i.meter.mu.Lock(); defer i.meter.mu.Unlock(); return len(i.meter.buses) >= 2 }
		for deadline := time.Now().Add(20 * time.Second); !told() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		gpus, err := i.GPUs(t.Context())
		if err != nil || len(gpus) != len(want) {
			t.Errorf("%s: %v, %v", machine, gpus, err)
		}
		for _, g := range gpus {
			if g.Fault != want[g.ID] {
				t.Errorf("%s: %s: %q, want %q", machine, g.ID, g.Fault, want[g.ID])
			}
		}
	}
}

// TestXid: a severe error in the kernel's log marks the card at its place; one of a program's own, or one that is made up, does not.
func TestXid(t *testing.T) {
	for entry, want := range map[string]masu.Fault{
		"4,1234,5678901,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n SUBSYSTEM=pci\n": "xid 79",
		"4,1,1,-;NVRM: Xid (PCI:0000:3B:00.0): 48, pid=12, An uncorrectable double bit error (DBE) has been detected":                     "xid 48",
		"4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 119, pid=1, name=nvidia-smi, Timeout after 6s of waiting for RPC response":                   "xid 119",
		"4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=4311, name=python, Ch 00000008, MMU Fault":                                           "", // the program's
		"4,1,1,-;NVRM: Xid (PCI:0000:86:00): 79, pid=1":                                                                                   "",
		"12,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, written by a program to the log":                                                        "",
		"4,1,1,-;python[12]: segfault at NVRM: Xid (PCI:0000:3b:00): 79,":                                                                 "",
		"4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 790, pid=1":                                                                                  "",
		"4,1,1,-;NVRM: GPU at PCI:0000:3b:00: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77":                                                   "",
		"6,1,1,-;nvidia 0000:3b:00.0: enabling device (0000 -> 0003)\n DEVICE=+pci:3b:00.0\n":                                             "",
	} {
		m := newMeter()
		m.takeHealth("GPU-a, 00000000:3B:00.0, No", []string{"uuid", "pci.bus_id", "retired_pages.pending"})
		m.takeKernel(entry)
		if got := m.fault("GPU-a"); got != want {
			t.Errorf("%q: %q, want %q", entry, got, want)
		}
	}
}

// TestKernelLog: only what is logged after the beginning counts, and the reader ends when it is told to.
func TestKernelLog(t *testing.T) {
	if err := open(t, "a100").followKernel(t.Context(), "/not/there"); err != nil {
		t.Errorf("without a log: %v", err)
	}
	f, err := os.OpenFile(kernelLog, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("the kernel's log cannot be read here")
	}
	f.Close()
	i := open(t, "a100")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- i.followKernel(ctx, kernelLog) }()
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the reader does not end")
	}
}

func TestBus(t *testing.T) {
	for s, want := range map[string]string{"00000000:3B:00.0": ":3b:00", "0000:3b:00": ":3b:00", "00010000:AF:1F.1": "10000:af:1f", "[N/A]": "", "": "", "3b:00": ""} {
		if got := busOf(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzHealth(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata/h100-mig/health.csv"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		f.Add(string(line))
	}
	f.Add("4,1234,5678901,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1")
	f.Fuzz(func(t *testing.T, line string) {
		m := newMeter()
		m.takeHealth(line, healthFields)
		m.takeHealth("GPU-a, 00000000:3B:00.0", []string{"uuid", "pci.bus_id"})
		m.takeKernel(line)
		switch fault := m.fault("GPU-a"); fault {
		case "", masu.FaultReset, masu.FaultPending, masu.FaultWorn:
		default:
			if n, ok := fault.Xid(); !ok || n == "" || number(n) < 0 {
				t.Errorf("%q: %q", line, fault)
			}
		}
	})
}

// BenchmarkReport is what masu does with a report of eight cards, each with seven slices, once in two seconds.
func BenchmarkReport(b *testing.B) {
	text, err := os.ReadFile("testdata/h100-mig/report.xml")
	if err != nil {
		b.Fatal(err)
	}
	head, cards, _ := bytes.Cut(text, []byte("\t<gpu "))
	slice := cards[bytes.Index(cards, []byte("\t\t\t<mig_device>")):]
	slice = slice[:bytes.Index(slice, []byte("</mig_device>"))+len("</mig_device>\n")]
	card := bytes.Replace(append([]byte("\t<gpu "), cards[:bytes.Index(cards, []byte("</gpu>"))+len("</gpu>\n")]...), slice, bytes.Repeat(slice, 5), 1)
	whole := append(append(head, bytes.Repeat(card, 8)...), "</nvidia_smi_log>\n"...)
	m := newMeter()
	m.name(map[place]masu.GPUID{{"GPU-c08d91cb-e324-655c-71ba-7570956445bc", "2"}: "MIG-a"}, nil)
	for b.Loop() {
		readLines(bytes.NewReader(whole), (&report{take: m.takeSlices}).line)
		if got := m.readings(); len(got) != 1 || len(got[0].Processes) != 2 {
			b.Fatalf("%+v", got)
		}
	}
	b.ReportMetric(float64(len(whole))/1024, "KiB")
}

// BenchmarkSecond is what masu does with a second of readings: eight cards, with two processes each.
func BenchmarkSecond(b *testing.B) {
	var state, processes bytes.Buffer
	for i := range 8 {
		id := "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a7" + string(rune('0'+i))
		state.WriteString(id + ", 97, 40537, 61, 312.45, 0\n")
		for p := range 2 {
			processes.WriteString(id + ", 3133" + string(rune('0'+p)) + ", 20260, /opt/venv/bin/python3\n")
		}
	}
	m := newMeter()
	for b.Loop() {
		readLines(io.Reader(bytes.NewReader(state.Bytes())), m.takeState)
		readLines(bytes.NewReader(processes.Bytes()), m.takeProcess)
		if got := m.readings(); len(got) != 8 || len(got[0].Processes) != 2 {
			b.Fatalf("%+v", got)
		}
	}
}
