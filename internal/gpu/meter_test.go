package gpu

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// computing is how many processes are told of a machine; those of slices of their cards too.
var computing = map[string]int{"a100": 2, "h100-mig": 4}

// read runs the meter of a machine of testdata until it has read something of n cards.
func read(t *testing.T, machine string, n int) []masu.Reading {
	t.Helper()
	i := open(t, machine)
	i.meter.every = 20 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx) }()
	var got []masu.Reading
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got, _ = i.Readings(t.Context())
		processes := 0
		for _, r := range got {
			processes += len(r.Processes)
		}
		share := machine != "a100" || processes > 0 && got[n-1].Processes[0].Busy > 0
		if len(got) == n && processes >= computing[machine] && share {
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("%s: %v", machine, err)
	}
	for j := range got {
		if got[j].At.IsZero() {
			t.Errorf("%s: read at no time", machine)
		}
		got[j].At = time.Time{}
	}
	return got
}

func TestMeter(t *testing.T) {
	for machine, want := range map[string][]masu.Reading{
		"a100": {
			{GPU: "GPU-1f0e6b7e-24e2-9d0a-58b6-0a3a3e0a9c11", Memory: 4 * masu.MiB, Temperature: 29, Power: 61.02, Faults: 2},
			{GPU: "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", Busy: 0.97, Memory: 40537 * masu.MiB, Temperature: 61, Power: 312.45, Processes: []masu.GPUProcess{
				{PID: 31337, Name: "/opt/venv/bin/python3", Memory: 40520 * masu.MiB, Busy: 0.93}, {PID: 31400, Name: "/opt/a, b/prog", Memory: 12 * masu.MiB}}},
		},
		"rtx4090": {
			{GPU: "GPU-2c1d7e58-93a5-11aa-7b0c-9f3e6a4c8d22", Busy: -1, Memory: -1, Temperature: -1, Power: -1, Faults: -1},
			{GPU: "GPU-f6a3a1f4-4d53-0f6a-98a2-6c1f5b9b7d10", Busy: 0.12, Memory: 1030 * masu.MiB, Temperature: 44, Power: 80.1, Faults: -1},
		},
		// A card that is cut up does not tell how busy it is, nor do its slices.
		"h100-mig": {
			{GPU: "GPU-0b1f4f0e-7a66-3f5d-9a51-5a4e2cf9d0aa", Busy: 1, Memory: 70012 * masu.MiB, Temperature: 66, Power: 690.30},
			{GPU: "GPU-77a9d2c4-0a3e-4b5f-8c21-6d2f8e0b1c33", Busy: -1, Memory: 87 * masu.MiB, Temperature: 33, Power: 70.02},
			{GPU: "GPU-c08d91cb-e324-655c-71ba-7570956445bc", Busy: -1, Memory: 31021 * masu.MiB, Temperature: 47, Power: 289.11, Processes: []masu.GPUProcess{{PID: 52011, Name: "python", Memory: 30800 * masu.MiB}}},
			{GPU: "MIG-405bbda1-6b05-535f-9702-f95e8cd170ce", Busy: -1, Memory: 16 * masu.MiB, Temperature: -1, Power: -1},
			{GPU: "MIG-b4b2228d-6933-5839-bc0e-41ab9edb61c6", Busy: -1, Memory: 134 * masu.MiB, Temperature: -1, Power: -1, Processes: []masu.GPUProcess{
				{PID: 52344, Name: "/opt/venv/bin/python3 <defunct>", Memory: 118 * masu.MiB}, {PID: 52345, Name: "[Not Found]", Memory: -1}}},
			{GPU: "MIG-c788539f-c1ea-5a36-8b4d-9b07d024b1bb", Busy: -1, Memory: 30871 * masu.MiB, Temperature: -1, Power: -1, Processes: []masu.GPUProcess{{PID: 52011, Name: "python", Memory: 30800 * masu.MiB}}},
		},
		"lost-card": {{GPU: "GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2", Busy: 0.03, Memory: 410 * masu.MiB, Temperature: 41, Power: 55.10, Faults: -1}},
		"unified":   {{GPU: "GPU-3c0de1a2-5b6f-7788-99aa-bbccddeeff00", Busy: 0.08, Memory: -1, Temperature: 45, Power: 11.20, Faults: -1}},
		"mismatch":  nil,
		"no-card":   nil,
	} {
		if d := cmp.Diff(want, read(t, machine, len(want))); d != "" {
			t.Errorf("%s: %s", machine, d)
		}
	}
	none, err := New(Config{})
	if err == nil && none.command == "" {
		if err := none.Run(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestMeterHangs: a driver that does not answer leaves everything unknown, and holds nobody up.
func TestMeterHangs(t *testing.T) {
	i, err := New(Config{Command: "testdata/hangs", Deadline: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := i.Run(ctx); err != nil {
		t.Error(err)
	}
	if got, err := i.Readings(t.Context()); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// TestMeterForgets: what was not read lately is not known.
func TestMeterForgets(t *testing.T) {
	m := newMeter()
	now := time.Now()
	m.now = func() time.Time { return now }
	m.takeState("GPU-a, 5, 100, 40, 50.0, 0")
	m.takeProcess("GPU-a, 12, 90, python")
	now = now.Add(meterStale)
	m.takeState("GPU-b, 5, 100, 40, 50.0, 0")
	if got := m.readings(); len(got) != 2 || len(got[0].Processes) != 1 {
		t.Errorf("in time: %+v", got)
	}
	now = now.Add(time.Second)
	if got := m.readings(); len(got) != 1 || got[0].GPU != "GPU-b" {
		t.Errorf("a card that says nothing: %+v", got)
	}
	m.takeState("GPU-a, 5, 100, 40, 50.0, 0")
	if got := m.readings(); len(got) != 2 || len(got[0].Processes) != 0 {
		t.Errorf("a process that has ended: %+v", got)
	}
	m.name(nil, []masu.GPU{{ID: "GPU-a", Index: 3}})
	m.takeProcess("GPU-a, 12, 90, python")
	if m.takeShare("    0          12     C     50     40      -      -    python") || m.takeShare("# gpu         pid   type     sm    mem    enc    dec    command") || !m.takeShare("    3          12     C     50     40      -      -    python") {
		t.Error("a share is taken of another card, or not taken")
	}
	if got := m.readings()[0].Processes; len(got) != 1 || got[0].Busy != 0.5 {
		t.Errorf("what it computes for a process: %+v", got)
	}
	now = now.Add(meterStale + time.Second)
	m.takeState("GPU-a, 5, 100, 40, 50.0, 0")
	m.takeProcess("GPU-a, 12, 90, python")
	if got := m.readings()[0].Processes; len(got) != 1 || got[0].Busy != 0 {
		t.Errorf("what it computed long ago: %+v", got)
	}
}

// TestSlicesAreNamed: a report that is cut short says nothing, slices bear the
// names that they have now, and those that are gone, or not named, are not told.
func TestSlicesAreNamed(t *testing.T) {
	text, err := os.ReadFile("testdata/h100-mig/report.xml")
	if err != nil {
		t.Fatal(err)
	}
	const card = masu.GPUID("GPU-c08d91cb-e324-655c-71ba-7570956445bc")
	m := newMeter()
	now := time.Now()
	m.now = func() time.Time { return now }
	r := report{take: m.takeSlices}
	say := func(text string) {
		for line := range strings.Lines(text) {
			r.line(strings.TrimSuffix(line, "\n"))
		}
	}
	told := func(want ...masu.GPUID) {
		t.Helper()
		var got []masu.GPUID
		for _, r := range m.readings() {
			got = append(got, r.GPU)
		}
		if !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	say(string(text))
	told()
	m.name(map[place]masu.GPUID{{card, "1"}: "MIG-b", {card, "0"}: "MIG-a", {card, "7"}: "MIG-gone", {"GPU-other", "2"}: "MIG-other"}, nil)
	say("Unable to determine the device handle for GPU0000:3B:00.0: Unknown Error\n" + string(text[:len(text)/2]))
	told()
	say(string(text)) // after one that was cut short
	told("MIG-a", "MIG-b")
	m.name(map[place]masu.GPUID{{card, "2"}: "MIG-a"}, nil)
	say(string(text))
	told("MIG-a")
	if r := m.readings()[0]; r.Memory != 134*masu.MiB || len(r.Processes) != 2 {
		t.Errorf("a slice that is another's now: %+v", r)
	}
	now = now.Add(meterStale + time.Second)
	told()
	say("<nvidia_smi_log>\n" + strings.Repeat("<deep>\n", 1000) + "</nvidia_smi_log>\n")
	say("<nvidia_smi_log>\n<gpu>\n<processes>\n" + strings.Repeat("<process_info>\n</process_info>\n", mostParts+2) + "</processes>\n</gpu>\n</nvidia_smi_log>\n")
	say(strings.ReplaceAll(string(text), "\t\t<mig_devices>", "\t\t<other_devices>\n\t\t\t<mig_devices>")) // not where it belongs
	told()
}

func FuzzSlices(f *testing.F) {
	text, err := os.ReadFile("testdata/h100-mig/report.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		m := newMeter()
		m.name(map[place]masu.GPUID{{"GPU-c08d91cb-e324-655c-71ba-7570956445bc", "0"}: "MIG-a"}, nil)
		readLines(strings.NewReader(text), (&report{take: m.takeSlices}).line)
		for _, r := range m.readings() {
			if r.Busy != -1 || r.Memory < -1 || r.GPU != "MIG-a" {
				t.Errorf("%q: %+v", text, r)
			}
		}
	})
}

func FuzzMeter(f *testing.F) {
	f.Add("GPU-a, 5, 100, 40, 50.0, 0")
	f.Add("Unable to determine the device handle for GPU0000:3B:00.0: Unknown Error")
	f.Add("GPU-a, 12, 90, a, b")
	f.Add("    0       31337     C     97     40      -      -    python3")
	f.Add(" , , , , , ")
	f.Fuzz(func(t *testing.T, line string) {
		m := newMeter()
		m.name(nil, []masu.GPU{{ID: "GPU-a"}})
		m.takeState(line)
		m.takeProcess(line)
		m.takeShare(line)
		for _, r := range m.readings() {
			if r.Busy > 1e7 || r.GPU == "" {
				t.Errorf("%q: %+v", line, r)
			}
		}
	})
}
