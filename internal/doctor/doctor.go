// Package doctor examines a host. It changes nothing: what it finds has a
// code, a severity and, where there is one, the commands that mend it.
package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// patience bounds one examination; a check that is not done by then, because a
// dead file server or driver holds it, is reported as such.
const patience = 20 * time.Second

// Config says what to examine. The zero Config examines what every host has.
type Config struct {
	Socket    string                                           // address of the engine; "" means DOCKER_HOST, or the usual socket
	Cluster   func(context.Context) []masu.Finding             // examines the cluster that runs the boxes; nil where this host does
	Runtime   func(context.Context) (masu.RuntimeInfo, error)  // its warnings are passed on; may be nil
	DiskLimit masu.Bytes                                       // of each box, by policy; 0 is none
	Inventory masu.Inventory                                   // the GPUs; nil looks at the driver's files only
	Devices   func(dirs []string) ([]masu.GPU, []masu.Finding) // the CDI devices of folders, and what is wrong there; may be nil
	Board     func(context.Context) (masu.Board, error)        // how the daemon's GPUs do; nil without a daemon
	StateDir  string                                           // where masu keeps its state; "" is not examined
	SSH       masu.SSHDoor                                     // the ssh gateway of the daemon that runs; none is not told of
	CertFile  string                                           // the pages' certificate; "" is plain HTTP
	Listen    string                                           // address that the daemon wants; "" is not examined (the daemon itself holds it)
	Root      string                                           // in front of /etc, /proc, /sys, /usr, /run, /dev; for tests
	Getenv    func(string) string                              // nil means os.Getenv
	Output    func(context.Context, ...string) (string, error) // runs a program for what it prints; nil does
	Disk      func(path string) (Disk, error)                  // nil asks the kernel
	Lacks     func() []string                                  // names the kernel features that are missing; nil tries them
	Now       func() (now time.Time, synced bool)              // nil asks the clock
}

// exam is one examination.
type exam struct {
	Config
	engine func() engineFacts // asked once, by whoever needs it first
}

type check struct {
	name string // for people who must say which check did not end
	run  func(context.Context, *exam) []masu.Finding
}

// checks are in the order in which people read them: what masu cannot do without comes first.
func checks() []check {
	return []check{
		{"engine", checkEngine},
		{"live-restore", checkLiveRestore},
		{"engine-access", checkAccess},
		{"snap", checkSnap},
		{"nvidia-driver", checkDriver},
		{"nvidia-toolkit", checkToolkit},
		{"cdi", checkCDI},
		{"cdi-devices", checkDevices},
		{"gpu-health", checkHealth},
		{"cgroup", checkCgroup},
		{"kernel", checkKernel},
		{"disk", checkDisks},
		{"state", checkState},
		{"port", checkPort},
		{"certificate", checkCertificate},
		{"ssh", checkSSH},
		{"clock", checkClock},
		{"proxy", checkProxy},
		{"mmdebstrap", checkBootstrap},
		{"fence", checkFence},
		{"runtime", checkRuntime},
	}
}

// Examine runs every check, all at once, and gives their findings in a fixed
// order. It never stops at the first trouble and never fails itself.
func Examine(ctx context.Context, c Config) []masu.Finding {
	list := checks()
	if c.Cluster != nil {
		list = slices.DeleteFunc(list, func(k check) bool { return slices.Contains(ofBoxes, k.name) })
		list = slices.Insert(list, 0, check{"cluster", func(ctx context.Context, e *exam) []masu.Finding { return e.Cluster(ctx) }})
	}
	return examine(ctx, c, list)
}

// ofBoxes are the checks of what only a host that runs boxes needs.
var ofBoxes = []string{"engine", "live-restore", "engine-access", "snap", "nvidia-driver", "nvidia-toolkit", "cdi", "cdi-devices", "cgroup", "kernel", "fence", "runtime"}

func examine(ctx context.Context, c Config, list []check) []masu.Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := newExam(ctx, c)
	results := make([]chan []masu.Finding, len(list))
	for i, k := range list {
		results[i] = make(chan []masu.Finding, 1)
		go func() { results[i] <- k.run(ctx, e) }()
	}
	var all []masu.Finding
	for i, r := range results {
		select {
		case found := <-r:
			all = append(all, found...)
		case <-ctx.Done():
			select {
			case found := <-r:
				all = append(all, found...)
			default:
				all = append(all, finding(masu.Warn, "check_hangs", list[i].name))
			}
		}
	}
	return all
}

func newExam(ctx context.Context, c Config) *exam {
	if c.Root == "" {
		c.Root = "/"
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Socket == "" {
		c.Socket = c.Getenv("DOCKER_HOST")
	}
	if c.Socket == "" {
		c.Socket = usualSocket
	}
	if c.Output == nil {
		c.Output = output
	}
	if c.Disk == nil {
		c.Disk = diskOf
	}
	if c.Lacks == nil {
		c.Lacks = lacking
	}
	if c.Now == nil {
		c.Now = clock
	}
	return &exam{Config: c, engine: sync.OnceValue(func() engineFacts { return askEngine(ctx, c.Socket) })}
}

func output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	b, err := cmd.Output()
	return string(b), err
}

// path gives a path of the host.
func (e *exam) path(p string) string { return filepath.Join(e.Root, p) }

// read gives a file of the host, "" if it cannot be read.
func (e *exam) read(p string) string {
	b, err := os.ReadFile(e.path(p))
	if err != nil {
		return ""
	}
	return string(b)
}

func (e *exam) has(p string) bool {
	_, err := os.Lstat(e.path(p))
	return err == nil
}

// program looks for a program where distributions put them, which is more than a member's PATH.
func (e *exam) program(name string) (string, bool) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/snap/bin"} {
		if p := dir + "/" + name; e.has(p) {
			return e.path(p), true
		}
	}
	return "", false
}

func (e *exam) systemd() bool { return e.has("/run/systemd/system") }

// distro gives the distribution, or the one it is made from, whose package manager doctor knows; "" for another.
func (e *exam) distro() string {
	var ids []string
	for line := range strings.Lines(e.read("/etc/os-release")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if value = strings.Trim(value, `"'`); name == "ID" {
			ids = append([]string{value}, ids...)
		} else if name == "ID_LIKE" {
			ids = append(ids, strings.Fields(value)...)
		}
	}
	for _, id := range ids {
		if slices.Contains([]string{"debian", "ubuntu", "fedora", "rhel"}, id) {
			return id
		}
	}
	return ""
}

func finding(s masu.Severity, code string, args ...string) masu.Finding {
	return masu.Finding{Code: code, Severity: s, Args: args}
}

// mend adds the commands that mend a finding; they need root.
func mend(f masu.Finding, commands ...[]string) []masu.Finding {
	if f.Commands = commands; len(commands) > 0 {
		f.Root = true
	}
	return []masu.Finding{f}
}

func one(s masu.Severity, code string, args ...string) []masu.Finding {
	return []masu.Finding{finding(s, code, args...)}
}
