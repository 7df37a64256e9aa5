package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// info is what a healthy engine answers; tests change what they are about.
func info(change map[string]any) map[string]any {
	m := map[string]any{
		"ServerVersion": "27.5.1", "LiveRestoreEnabled": true, "DockerRootDir": "/var/lib/docker",
		"CgroupVersion": "2", "CgroupDriver": "systemd", "CDISpecDirs": []string{"/etc/cdi"},
	}
	for k, v := range change {
		m[k] = v
	}
	return m
}

// engine serves an engine's /info on a socket and gives its address.
func engine(t *testing.T, answer map[string]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(answer) })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "unix://" + path
}

// root makes the files of a host.
func root(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(files, "/usr/bin/mmdebstrap", "/usr/sbin/iptables", "/proc/sys/kernel/osrelease=6.8.0-45-generic") {
		name, content, _ := strings.Cut(f, "=")
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(strings.ReplaceAll(content, `\n`, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// healthy is a host with nothing wrong; tests change what they are about.
func healthy(t *testing.T) Config {
	return Config{
		Socket: engine(t, info(nil)), StateDir: "/var/lib/masu", Listen: "127.0.0.1:0", Root: root(t),
		Getenv: func(string) string { return "" },
		Output: func(context.Context, ...string) (string, error) { return "", errors.New("no such program") },
		Disk: func(string) (Disk, error) {
			return Disk{Free: 100 * masu.GiB, Total: 500 * masu.GiB, Inodes: 1e6, FreeInodes: 9e5}, nil
		},
		Lacks: func() []string { return nil },
		Now:   func() (time.Time, bool) { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), true },
	}
}

// bad lists what is more than good news, and checks that every finding has its sentences.
func bad(t *testing.T, found []masu.Finding) []string {
	t.Helper()
	var out []string
	for _, f := range found {
		for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
			if s := text.Strings(lang, f.Code, f.Args); s == f.Code || strings.Contains(s, "%!") || !text.Has(f.Code) {
				t.Errorf("%s: %q", f.Code, s)
			}
		}
		if (f.Severity == masu.Warn || f.Severity == masu.Fail) && !text.Has(f.Code+".fix") {
			t.Errorf("%s does not say what to do", f.Code)
		}
		if len(f.Commands) > 0 != f.Root {
			t.Errorf("%s: commands %v, root %v", f.Code, f.Commands, f.Root)
		}
		if f.Severity != masu.Good {
			out = append(out, fmt.Sprintf("%s %s %v", f.Severity, f.Code, f.Args))
		}
	}
	return out
}

const (
	debian = `/etc/os-release=ID=debian\nVERSION_ID="12"`
	nvrm   = "/proc/driver/nvidia/version=NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs-builder@U16)\\n"
)

// inventory is a masu.Inventory with fixed answers.
type inventory struct {
	gpus []masu.GPU
	err  error
}

func (i inventory) GPUs(context.Context) ([]masu.GPU, error) { return i.gpus, i.err }
func (i inventory) Driver(context.Context) (string, error)   { return "575.57.08", i.err }

func TestFindings(t *testing.T) {
	nobody := func(t *testing.T) string { return "unix://" + filepath.Join(t.TempDir(), "none") }
	toolkit := func(version string) func(context.Context, ...string) (string, error) {
		return func(_ context.Context, argv ...string) (string, error) {
			return "NVIDIA Container Toolkit CLI version " + version + "\ncommit: 0123\n", nil
		}
	}
	none := "info nvidia_none []"
	for name, c := range map[string]struct {
		change   func(t *testing.T, c *Config)
		want     []string
		commands [][]string // of the first finding that is not good news
	}{
		"all well": {func(*testing.T, *Config) {}, []string{none}, nil},
		"a disk limit that nobody holds": {func(t *testing.T, c *Config) {
			c.DiskLimit, c.Runtime = masu.GiB, func(context.Context) (masu.RuntimeInfo, error) {
				return masu.RuntimeInfo{Root: "/var/lib/docker"}, nil
			}
		}, []string{none, "warn no_quotas [/var/lib/docker]"}, nil},
		"a disk limit that is held": {func(t *testing.T, c *Config) {
			c.DiskLimit, c.Runtime = masu.GiB, func(context.Context) (masu.RuntimeInfo, error) { return masu.RuntimeInfo{DiskLimits: true}, nil }
		}, []string{none}, nil},
		"no engine, Debian": {func(t *testing.T, c *Config) { c.Socket, c.Root = nobody(t), root(t, debian) },
			[]string{"fail engine_missing []", none}, InstallEngine("debian")},
		"no engine, like Ubuntu": {func(t *testing.T, c *Config) {
			c.Socket, c.Root = nobody(t), root(t, `/etc/os-release=ID=linuxmint\nID_LIKE="ubuntu debian"`)
		}, []string{"fail engine_missing []", none}, InstallEngine("ubuntu")},
		"no engine, Fedora": {func(t *testing.T, c *Config) { c.Socket, c.Root = nobody(t), root(t, "/etc/os-release=ID=fedora") },
			[]string{"fail engine_missing []", none}, InstallEngine("fedora")},
		"no engine, unknown": {func(t *testing.T, c *Config) { c.Socket, c.Root = nobody(t), root(t, "/etc/os-release=ID=void") },
			[]string{"fail engine_missing []", none}, nil},
		"stopped, systemd": {func(t *testing.T, c *Config) {
			c.Socket, c.Root = nobody(t), root(t, debian, "/usr/sbin/dockerd", "/run/systemd/system/x")
		}, []string{"fail engine_stopped [SOCKET]", none}, [][]string{{"systemctl", "enable", "--now", "docker"}}},
		"stopped, no systemd": {func(t *testing.T, c *Config) { c.Socket, c.Root = nobody(t), root(t, debian, "/usr/sbin/dockerd") },
			[]string{"fail engine_stopped [SOCKET]", none}, [][]string{{"masu", "doctor", "--start-engine"}}},
		"stopped snap": {func(t *testing.T, c *Config) { c.Socket, c.Root = nobody(t), root(t, "/snap/bin/docker") },
			[]string{"fail engine_stopped [SOCKET]", none}, [][]string{{"snap", "start", "docker"}}},
		"a socket that nobody serves": {func(t *testing.T, c *Config) {
			c.Socket, c.Root = stale(t), root(t, "/usr/sbin/dockerd")
		}, []string{"fail engine_stopped [SOCKET]", none}, [][]string{{"masu", "doctor", "--start-engine"}}},
		"not an engine": {func(t *testing.T, c *Config) { c.Socket = "ssh://gpu" }, []string{"fail engine_strange [ssh://gpu no address of a socket]", none}, nil},
		"too old":       {func(t *testing.T, c *Config) { c.Socket = engine(t, info(map[string]any{"ServerVersion": "19.03.15"})) }, []string{"fail engine_old [19.03.15]", none}, nil},
		"just new enough": {func(t *testing.T, c *Config) {
			c.Socket = engine(t, info(map[string]any{"ServerVersion": "20.10.24+dfsg1"}))
		}, []string{none}, nil},
		"live-restore off": {func(t *testing.T, c *Config) { c.Socket = engine(t, info(map[string]any{"LiveRestoreEnabled": false})) }, []string{"warn live_restore_off []", none}, nil},
		"swarm": {func(t *testing.T, c *Config) {
			c.Socket = engine(t, info(map[string]any{"LiveRestoreEnabled": false, "Swarm": map[string]any{"LocalNodeState": "active"}}))
		}, []string{"warn live_restore_swarm []", none}, nil},
		"docker group": {func(t *testing.T, c *Config) { c.Root = root(t, `/etc/group=root:x:0:\ndocker:x:998:alice,bob\n`) }, []string{"info engine_group [alice, bob]", none}, nil},
		"snap": {func(t *testing.T, c *Config) {
			c.Socket = engine(t, info(map[string]any{"DockerRootDir": "/var/snap/docker/common/x"}))
		}, []string{"warn engine_snap []", none}, nil},
		"cgroup 1": {func(t *testing.T, c *Config) {
			c.Socket = engine(t, info(map[string]any{"CgroupVersion": "1", "CgroupDriver": "cgroupfs"}))
		}, []string{none, "info cgroup_v1 [cgroupfs]"}, nil},
		"card without driver": {func(t *testing.T, c *Config) {
			c.Root = root(t, "/sys/bus/pci/devices/0000:01:00.0/vendor=0x10de\\n", "/sys/bus/pci/devices/0000:01:00.0/class=0x030200\\n")
		}, []string{"warn nvidia_driver_missing []"}, nil},
		"only its sound chip": {func(t *testing.T, c *Config) {
			c.Root = root(t, "/sys/bus/pci/devices/0000:01:00.1/vendor=0x10de\\n", "/sys/bus/pci/devices/0000:01:00.1/class=0x040300\\n")
		}, []string{none}, nil},
		"driver, nothing else": {func(t *testing.T, c *Config) { c.Root = root(t, nvrm) }, []string{"warn toolkit_missing []"}, nil},
		"driver updated": {func(t *testing.T, c *Config) {
			c.Root, c.Inventory = root(t, nvrm), inventory{err: masu.E(masu.Unreachable, "gpu_driver_mismatch", "NVML 580")}
		}, []string{"warn gpu_driver_mismatch [NVML 580]", "warn toolkit_missing []"}, nil},
		"driver, no card":         {func(t *testing.T, c *Config) { c.Root, c.Inventory = root(t, nvrm), inventory{} }, []string{"warn nvidia_no_card [575.57.08]", "warn toolkit_missing []"}, nil},
		"an inventory of nothing": {func(t *testing.T, c *Config) { c.Inventory = inventory{} }, []string{none}, nil},
		"old toolkit": {func(t *testing.T, c *Config) {
			c.Root, c.Output, c.Inventory = root(t, nvrm, debian, "/usr/bin/nvidia-ctk", "/etc/cdi/nvidia.yaml"), toolkit("1.17.7"), inventory{gpus: make([]masu.GPU, 2)}
		}, []string{"fail toolkit_old [1.17.7]"}, [][]string{apt("update"), aptInstall("--only-upgrade", "nvidia-container-toolkit")}},
		"safe toolkit": {func(t *testing.T, c *Config) {
			c.Root, c.Output, c.Inventory = root(t, nvrm, "/usr/bin/nvidia-ctk", "/etc/cdi/nvidia.yaml"), toolkit("1.17.8"), inventory{gpus: make([]masu.GPU, 2)}
		}, nil, nil},
		"silent toolkit": {func(t *testing.T, c *Config) { c.Root = root(t, nvrm, "/usr/bin/nvidia-ctk", "/etc/cdi/nvidia.yaml") }, []string{"warn toolkit_strange [ROOT/usr/bin/nvidia-ctk]"}, nil},
		"no CDI, systemd": {func(t *testing.T, c *Config) {
			c.Root, c.Output = root(t, nvrm, "/usr/bin/nvidia-ctk"), toolkit("1.18.0-rc.2")
		},
			[]string{"info cdi_missing []", "warn nvidia_links []"}, [][]string{{"mkdir", "-p", "/etc/cdi"}, {"nvidia-ctk", "cdi", "generate", "--output=/etc/cdi/nvidia.yaml"}}},
		"no CDI, linked": {func(t *testing.T, c *Config) {
			c.Root, c.Output = root(t, nvrm, "/usr/bin/nvidia-ctk", "/dev/char/195:0"), toolkit("1.18.0")
		}, []string{"info cdi_missing []"}, nil},
		"engine without CDI": {func(t *testing.T, c *Config) {
			c.Root, c.Output = root(t, nvrm, "/usr/bin/nvidia-ctk", "/var/run/cdi/nvidia.json"), toolkit("1.18.0")
			c.Socket = engine(t, info(map[string]any{"CDISpecDirs": nil, "CgroupDriver": "cgroupfs"}))
		}, []string{"info cdi_engine []"}, nil},
		"old kernel": {func(t *testing.T, c *Config) {
			c.Lacks = func() []string { return []string{"openat2", "mount_setattr"} }
		},
			[]string{none, "warn kernel_old [6.8.0-45-generic openat2, mount_setattr]"}, nil},
		"disk low":  {func(t *testing.T, c *Config) { c.Disk = disk(Disk{Free: 40 * masu.GiB, Total: 500 * masu.GiB}) }, []string{none, "warn space_low [/var/lib/docker 40 GiB]", "warn space_low [/var/lib/masu 40 GiB]"}, nil},
		"disk full": {func(t *testing.T, c *Config) { c.Disk = disk(Disk{Free: 900 * masu.MiB, Total: 2 * masu.GiB}) }, []string{none, "fail space_out [/var/lib/docker 900 MiB]", "fail space_out [/var/lib/masu 900 MiB]"}, nil},
		"inodes": {func(t *testing.T, c *Config) {
			c.Disk = disk(Disk{Free: masu.GiB, Total: masu.GiB, Inodes: 1e6, FreeInodes: 9})
		}, []string{none, "fail inodes_out [/var/lib/docker]", "fail inodes_out [/var/lib/masu]"}, nil},
		"NFS": {func(t *testing.T, c *Config) {
			c.Disk = disk(Disk{Free: masu.GiB, Total: masu.GiB, NetworkedName: "NFS"})
		},
			[]string{none, "fail state_on_network [/var/lib/masu NFS]"}, nil},
		"no such disk": {func(t *testing.T, c *Config) {
			c.StateDir = ""
			c.Disk = func(string) (Disk, error) { return Disk{}, os.ErrPermission }
		}, []string{none, "warn space_unknown [/var/lib/docker]"}, nil},
		"port taken":        {func(t *testing.T, c *Config) { c.Listen = taken(t) }, []string{none, "fail port_busy [LISTEN]"}, nil},
		"port of elsewhere": {func(t *testing.T, c *Config) { c.Listen = "192.0.2.1:8888" }, []string{none, "fail port_impossible [192.0.2.1:8888]"}, nil},
		"clock of 1970": {func(t *testing.T, c *Config) {
			c.Now = func() (time.Time, bool) { return time.Unix(0, 0).UTC(), false }
		}, []string{none, "fail clock_wrong [1970-01-01 00:00:00]"}, nil},
		"clock unkept": {func(t *testing.T, c *Config) {
			c.Now = func() (time.Time, bool) { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), false }
		}, []string{none, "info clock_unsynced []"}, nil},
		"proxy": {func(t *testing.T, c *Config) { c.Getenv = only("HTTPS_PROXY") }, []string{none, "warn proxy_not_engine [HTTPS_PROXY]"}, nil},
		"proxy everywhere": {func(t *testing.T, c *Config) {
			c.Getenv, c.Socket = only("https_proxy"), engine(t, info(map[string]any{"HttpsProxy": "http://proxy:3128"}))
		}, []string{none}, nil},
		"no iptables": {func(t *testing.T, c *Config) {
			c.Root = root(t, debian)
			os.Remove(filepath.Join(c.Root, "/usr/sbin/iptables"))
		}, []string{none, "warn fence_missing []"}, nil},
		"no mmdebstrap": {func(t *testing.T, c *Config) {
			c.Root = root(t, debian)
			os.Remove(filepath.Join(c.Root, "/usr/bin/mmdebstrap"))
		}, []string{none, "info mmdebstrap_missing []"}, nil},
		"the runtime warns": {func(t *testing.T, c *Config) {
			c.Runtime = func(context.Context) (masu.RuntimeInfo, error) {
				return masu.RuntimeInfo{Warnings: []string{"No swap limit support"}}, nil
			}
		}, []string{none, "info engine_warning [No swap limit support]"}, nil},
		"the runtime fails": {func(t *testing.T, c *Config) {
			c.Runtime = func(context.Context) (masu.RuntimeInfo, error) {
				return masu.RuntimeInfo{}, masu.E(masu.Unreachable, "engine_old", "1.0")
			}
		}, []string{none, "fail engine_old [1.0]"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			config := healthy(t)
			c.change(t, &config)
			found := Examine(t.Context(), config)
			got := bad(t, found)
			for i := range got {
				got[i] = strings.NewReplacer(config.Socket, "SOCKET", config.Root, "ROOT", config.Listen, "LISTEN").Replace(got[i])
			}
			for i, w := range c.want { // what a test names itself stays as it is
				c.want[i] = strings.NewReplacer("ssh://gpu", "SOCKET", "192.0.2.1:8888", "LISTEN").Replace(w)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if c.commands == nil {
				return
			}
			i := slices.IndexFunc(found, func(f masu.Finding) bool { return f.Severity != masu.Good })
			if d := cmp.Diff(c.commands, found[i].Commands); d != "" {
				t.Error(d)
			}
		})
	}
}

func disk(d Disk) func(string) (Disk, error) { return func(string) (Disk, error) { return d, nil } }

func only(name string) func(string) string {
	return func(n string) string {
		if n == name {
			return "http://proxy:3128"
		}
		return ""
	}
}

// taken gives an address on which somebody listens.
func taken(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// stale gives a socket whose engine has died.
func stale(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return "unix://" + path
}

// TestAccess has a member who may not open the socket.
func TestAccess(t *testing.T) {
	e := &exam{Config: Config{Socket: "unix:///s"}, engine: func() engineFacts {
		return engineFacts{err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}}
	}}
	if got := bad(t, checkEngine(t.Context(), e)); !cmp.Equal(got, []string{"fail engine_no_access [unix:///s]"}) {
		t.Error(got)
	}
}

// TestLiveRestoreIsMended only where the file is nobody's yet.
func TestLiveRestoreIsMended(t *testing.T) {
	off := func() engineFacts { return engineFacts{} }
	e := &exam{Config: Config{Socket: usualSocket, Root: root(t, "/run/systemd/system/x")}, engine: off}
	f := checkLiveRestore(t.Context(), e)[0]
	if len(f.Commands) != 3 || !cmp.Equal(f.Commands[2], []string{"systemctl", "reload", "docker"}) || !json.Valid([]byte("{\n  \"live-restore\": true\n}\n")) {
		t.Errorf("%v", f.Commands)
	}
	e.Root = root(t, "/etc/docker/daemon.json={}")
	if f := checkLiveRestore(t.Context(), e)[0]; f.Commands != nil || f.Code != "live_restore_off" {
		t.Errorf("%+v", f)
	}
}

// TestAHangingCheckIsReported while the others' findings are there.
func TestAHangingCheckIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer func() { close(release); synctest.Wait() }()
		found := examine(t.Context(), Config{Getenv: only("")}, []check{
			{"disk", func(context.Context, *exam) []masu.Finding { <-release; return nil }},
			{"clock", func(context.Context, *exam) []masu.Finding { return one(masu.Good, "clock_ok") }},
		})
		if got := bad(t, found); len(found) != 2 || found[1].Code != "clock_ok" || !cmp.Equal(got, []string{"warn check_hangs [disk]"}) {
			t.Errorf("%+v", found)
		}
	})
}

// TestEngineThatAcceptsAndIsSilent is a stopped process behind an open socket.
func TestEngineThatAcceptsAndIsSilent(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	f := askEngine(ctx, "unix://"+l.Addr().String())
	e := &exam{Config: Config{Socket: "S"}, engine: func() engineFacts { return f }}
	if got := bad(t, checkEngine(t.Context(), e)); !cmp.Equal(got, []string{"fail engine_hangs [S]"}) {
		t.Errorf("%v (%v)", got, f.err)
	}
}

func TestOlderThan(t *testing.T) {
	for v, want := range map[string]bool{
		"20.10.24+dfsg1": false, "20.10.0": false, "19.03.15": true, "1.13.1": true, "28.2.2": false, "20.9": true, "v27.0.1-rc1": false, "dev": false, "": false,
	} {
		if olderThan(v, oldestEngine) != want {
			t.Errorf("%q", v)
		}
	}
}

// TestThisHost examines the real machine: whatever it finds, it can say.
func TestThisHost(t *testing.T) {
	found := Examine(t.Context(), Config{StateDir: "/var/lib/masu/not/there", Listen: "127.0.0.1:0"})
	bad(t, found)
	for _, f := range found {
		if f.Code == "check_hangs" || f.Code == "space_unknown" || f.Code == "clock_wrong" || f.Code == "port_impossible" {
			t.Errorf("%+v", f)
		}
	}
}

// TestThisEngine looks at the real engine.
func TestThisEngine(t *testing.T) {
	address := os.Getenv("MASU_TEST_ENGINE")
	if address == "" {
		t.Skip("MASU_TEST_ENGINE names no engine")
	}
	if address == "default" {
		address = ""
	}
	codes := map[string]bool{}
	for _, f := range Examine(t.Context(), Config{Socket: address}) {
		codes[f.Code] = true
	}
	for _, want := range []string{"engine_ok", "kernel_ok"} {
		if !codes[want] {
			t.Errorf("no %s in %v", want, codes)
		}
	}
	if !codes["cgroup_ok"] && !codes["cgroup_v1"] || !codes["space_ok"] && !codes["space_low"] && !codes["space_out"] {
		t.Errorf("the engine's own facts are missing in %v", codes)
	}
	if err := StartEngine(t.Context()); address == "" && err != nil {
		t.Errorf("an engine that runs: %v", err)
	}
}
