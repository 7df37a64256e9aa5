package gauge

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func TestCgroupPaths(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"version 2": {"0::/system.slice/docker-abc.scope\n", map[string]string{"unified": "/system.slice/docker-abc.scope"}},
		"version 1": {"9:name=systemd:/docker/abc\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc:x\n0::/\n", map[string]string{"memory": "/docker/abc", "cpuacct": "/docker/abc:x"}},
		"nothing":   {"odd\n", map[string]string{"unified": ""}},
	} {
		if got := cgroupPaths(c.text); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if u, err := Used(os.Getpid(), "0123456789abcdef"); err == nil {
		t.Errorf("another's group was taken for the container's: %+v", u)
	}
	if u, err := Used(os.Getpid(), ""); err == nil {
		t.Errorf("no container's: %+v", u)
	}
}

func TestUsed(t *testing.T) {
	write := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	want := masu.Use{CPU: 90 * time.Second, Memory: 3 * masu.MiB}
	two := write(map[string]string{"cpu.stat": "usage_usec 90000000\nuser_usec 1\n", "memory.current": "4194304\n", "memory.stat": "anon 3\ninactive_file 1048576\n"})
	if u, err := used2(two); err != nil || u != want {
		t.Errorf("version 2: %+v, %v", u, err)
	}
	one := write(map[string]string{"cpuacct.usage": "90000000000\n", "memory.usage_in_bytes": "4194304\n", "memory.stat": "total_inactive_file 1048576\n"})
	if u, err := used1(one, one); err != nil || u != want {
		t.Errorf("version 1: %+v, %v", u, err)
	}
	for _, dir := range []string{one, t.TempDir()} {
		if _, err := used2(dir); err == nil {
			t.Error("what is not there was read")
		}
	}
}

// TestOwn: a program in a container finds its own group, in both versions.
func TestOwn(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"version 1": {"cpuacct/cpuacct.usage": "90000000000\n", "memory/memory.usage_in_bytes": "4194304\n", "memory/memory.stat": "total_inactive_file 1048576\n",
			"memory/memory.limit_in_bytes": "8388608\n", "pids/pids.current": "7\n"},
		"version 2": {"cpu.stat": "usage_usec 90000000\n", "memory.current": "4194304\n", "memory.stat": "inactive_file 1048576\n", "memory.max": "8388608\n", "pids.current": "7\n"},
		"no limits": {"cpu.stat": "usage_usec 90000000\n", "memory.current": "4194304\n", "memory.stat": "inactive_file 1048576\n", "memory.max": "max\n"},
	} {
		dir := t.TempDir()
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := masu.Gauge{Use: masu.Use{CPU: 90 * time.Second, Memory: 3 * masu.MiB}, MemoryLimit: 8 * masu.MiB, PIDs: 7}
		if name == "no limits" {
			want.MemoryLimit, want.PIDs = 0, 0
		}
		if g, err := own(dir); err != nil || g != want {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
	if g, err := own(t.TempDir()); err == nil {
		t.Errorf("where there are no groups: %+v", g)
	}
}
