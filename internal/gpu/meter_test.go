package gpu

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// computing is how many processes the last card of a machine has.
var computing = map[string]int{"a100": 2, "h100-mig": 1}

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
		if processes := len(got) > 0 && len(got[len(got)-1].Processes) >= computing[machine]; len(got) == n && (processes || n == 0) {
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
				{PID: 31337, Name: "/opt/venv/bin/python3", Memory: 40520 * masu.MiB}, {PID: 31400, Name: "/opt/a, b/prog", Memory: 12 * masu.MiB}}},
		},
		"rtx4090": {
			{GPU: "GPU-2c1d7e58-93a5-11aa-7b0c-9f3e6a4c8d22", Busy: -1, Memory: -1, Temperature: -1, Power: -1, Faults: -1},
			{GPU: "GPU-f6a3a1f4-4d53-0f6a-98a2-6c1f5b9b7d10", Busy: 0.12, Memory: 1030 * masu.MiB, Temperature: 44, Power: 80.1, Faults: -1},
		},
		// A card that is cut up does not tell how busy it is.
		"h100-mig": {
			{GPU: "GPU-0b1f4f0e-7a66-3f5d-9a51-5a4e2cf9d0aa", Busy: 1, Memory: 70012 * masu.MiB, Temperature: 66, Power: 690.30},
			{GPU: "GPU-77a9d2c4-0a3e-4b5f-8c21-6d2f8e0b1c33", Busy: -1, Memory: 87 * masu.MiB, Temperature: 33, Power: 70.02},
			{GPU: "GPU-c08d91cb-e324-655c-71ba-7570956445bc", Busy: -1, Memory: 31021 * masu.MiB, Temperature: 47, Power: 289.11, Processes: []masu.GPUProcess{{PID: 52011, Name: "python", Memory: 30800 * masu.MiB}}},
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
}

func FuzzMeter(f *testing.F) {
	f.Add("GPU-a, 5, 100, 40, 50.0, 0")
	f.Add("Unable to determine the device handle for GPU0000:3B:00.0: Unknown Error")
	f.Add("GPU-a, 12, 90, a, b")
	f.Add(" , , , , , ")
	f.Fuzz(func(t *testing.T, line string) {
		m := newMeter()
		m.takeState(line)
		m.takeProcess(line)
		for _, r := range m.readings() {
			if r.Busy > 1e7 || r.GPU == "" {
				t.Errorf("%q: %+v", line, r)
			}
		}
	})
}
