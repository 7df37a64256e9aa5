package host

import "testing"

func TestReadUsage(t *testing.T) {
	a, cores := readTicks([]byte("cpu  100 0 50 800 50 0 0 0 10 0\ncpu0 50 0 25 400 25 0 0 0 5 0\ncpu1 50 0 25 400 25 0 0 0 5 0\nintr 1\n"))
	if cores != 2 || a.all != 1000 || a.busy != 150 {
		t.Errorf("%+v of %d cores", a, cores)
	}
	m := readMemory([]byte("MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"))
	if m.Total != 1000*1024 || m.Used != 600*1024 || m.Percent() != 60 {
		t.Errorf("%+v", m)
	}
	if _, cores := readTicks(nil); cores != 0 {
		t.Error("cores of nothing")
	}
}

func TestUsage(t *testing.T) {
	h := newHost(t, Config{})
	for range 2 {
		u, err := h.Usage()
		if err != nil || u.Memory.Total <= 0 || u.Memory.Used <= 0 || u.Memory.Used > u.Memory.Total || u.CPU.Total < 1 || u.CPU.Used < 0 || u.CPU.Used > u.CPU.Total {
			t.Errorf("%+v, %v", u, err)
		}
	}
}
