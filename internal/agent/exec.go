package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// order is how a command is to be run.
type order struct {
	Key  string   `json:"key"` // by which `kill` finds it; "" means never
	Dir  string   `json:"dir"` // "" means the project folder
	Env  []string `json:"env"`
	Root bool     `json:"root"`
	TTY  bool     `json:"tty"`
	// Streams: masu has pipes for the command, under the key.
	Streams bool `json:"streams"`
}

// execute turns this process into the command: nothing stands between it and
// the engine, so signals, the terminal and the exit code are its own.
func execute(ctx context.Context, how string, argv []string) int {
	var o order
	if how != "" {
		if err := json.Unmarshal([]byte(how), &o); err != nil {
			complain(fmt.Errorf("how to run %q: %w", argv[0], err))
			return exitAgent
		}
	}
	b, err := awaitBox(ctx, runDir)
	if err != nil {
		complain(err)
		return exitAgent
	}
	code, err := o.run(b, argv)
	if err != nil {
		complain(err)
	}
	return code
}

// run returns only if the command could not be run.
func (o order) run(b box, argv []string) (int, error) {
	if _, err := syscall.Setsid(); err != nil && !errors.Is(err, syscall.EPERM) { // EPERM: the engine has made one
		return exitAgent, err
	}
	if o.TTY {
		_ = unix.IoctlSetInt(0, unix.TIOCSCTTY, 0) // has one already, mostly
	}
	if o.Key != "" {
		if err := register(filepath.Join(runDir, "exec"), o.Key, o.TTY); err != nil {
			return exitKilled, err
		}
	}
	if o.Streams {
		_ = takeStreams(o.Key) // otherwise the engine's stay
	}
	u := b.User
	if o.Root {
		u = masu.User{Name: "root", Home: "/root"}
	}
	own(u)
	env := o.variables(b)
	if err := become(u); err != nil {
		return exitAgent, err
	}
	if err := o.enter(b); err != nil {
		return exitCannot, err
	}
	c := findCommand(argv[0], lookup(env, "PATH"), "")
	if c.path == "" && c.code == exitMissing {
		return exitMissing, fmt.Errorf("%s: command not found", argv[0])
	}
	if c.path == "" {
		return exitCannot, fmt.Errorf("%s: cannot be run", argv[0])
	}
	err := syscall.Exec(c.path, argv, env)
	return exitCannot, fmt.Errorf("%s: %w", argv[0], err)
}

// variables are the member's, then the order's own.
func (o order) variables(b box) []string {
	env := slices.Clone(b.Env)
	if o.Root {
		env = append(env, "HOME=/root", "USER=root", "LOGNAME=root", "XDG_RUNTIME_DIR=/run")
	}
	env = append(env, o.Env...)
	last := map[string]int{}
	for i, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		last[name] = i
	}
	var out []string
	for i, kv := range env {
		if name, _, ok := strings.Cut(kv, "="); ok && last[name] == i {
			out = append(out, kv)
		}
	}
	return out
}

// enter goes to the folder that was asked for. The project folder may be gone;
// that must not keep anybody from a shell.
func (o order) enter(b box) error {
	if o.Dir != "" {
		dir := o.Dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(b.Work, dir)
		}
		return os.Chdir(dir)
	}
	for _, dir := range []string{b.Work, b.User.Home, "/"} {
		if os.Chdir(dir) == nil {
			return nil
		}
	}
	return errors.New("no folder can be entered")
}

// own gives the command its own input and output, so that it can open
// /dev/stdout and its terminal by name as on any machine.
func own(u masu.User) {
	for fd := range 3 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		_, terminal := unix.IoctlGetTermios(fd, unix.TCGETS)
		if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFIFO || kind == unix.S_IFCHR && terminal == nil {
			_ = unix.Fchown(fd, u.UID, -1)
		}
	}
}

var execKey = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

var errKilled = errors.New("ended before it began")

// register writes who this process is under the key, in one step. If the key
// is taken, `kill` has come first.
func register(dir, key string, tty bool) error {
	if !execKey.MatchString(key) {
		return fmt.Errorf("key %q is not understood", key)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	self, err := readProcess(os.Getpid())
	if err != nil {
		return err
	}
	next := filepath.Join(dir, "."+key)
	defer os.Remove(next)
	if err := os.WriteFile(next, fmt.Appendf(nil, "%d %s %t\n", self.pid, self.start, tty), 0o600); err != nil {
		return err
	}
	if err := os.Link(next, filepath.Join(dir, key)); err != nil {
		return errKilled
	}
	return nil
}

// registration is what register wrote. The zero one is of a command that was
// ended before it began.
type registration struct {
	pid   int
	start string
	tty   bool
}

func readRegistration(path string) (registration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return registration{}, err
	}
	f := strings.Fields(string(text))
	if len(f) != 3 {
		return registration{}, nil
	}
	pid, err := strconv.Atoi(f[0])
	return registration{pid, f[1], f[2] == "true"}, err
}

// session lists what is left of the command: itself, and what it has begun.
func (r registration) session() []process {
	if p, err := readProcess(r.pid); r.pid <= 1 || err == nil && p.start != r.start {
		return nil // the number is another's by now, so nothing of the command is left
	}
	return slices.DeleteFunc(processes(), func(p process) bool { return p.session != r.pid })
}

// kill ends a command with all that it has begun: politely, and after two seconds for good.
func kill(ctx context.Context, key string) int {
	if !execKey.MatchString(key) {
		complain(fmt.Errorf("key %q is not understood", key))
		return exitUsage
	}
	dir := filepath.Join(runDir, "exec")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		complain(err)
		return exitAgent
	}
	path := filepath.Join(dir, key)
	// If there is nothing under the key yet, taking it keeps the command from beginning.
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		f.Close()
		return 0
	}
	r, err := readRegistration(path)
	if err != nil {
		complain(err)
		return exitAgent
	}
	if err := end(ctx, r); err != nil {
		complain(err)
		return exitAgent
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		complain(err)
	}
	return 0
}

func end(ctx context.Context, r registration) error {
	left := r.session()
	signalAll(left, syscall.SIGTERM)
	for _, p := range left {
		if p.tty { // a shell at a terminal ignores SIGTERM; its terminal has gone
			_ = syscall.Kill(p.pid, syscall.SIGHUP)
		}
	}
	patience := time.Now().Add(2 * time.Second)
	for len(r.session()) > 0 {
		if time.Now().After(patience) {
			signalAll(r.session(), syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// onlyForwards tells of the helper of an ssh connection that it is nothing the
// member does. Who pretends to be one only makes themselves look idle.
func onlyForwards(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && string(line) == masu.AgentPath+"\x00agent\x00forward\x00"
}

// registered tells whether a command without a terminal runs (at a terminal,
// typing counts), and forgets those that have ended.
func registered(dir string) bool {
	entries, _ := os.ReadDir(dir)
	busy := false
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		r, err := readRegistration(path)
		if err != nil || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if p, err := readProcess(r.pid); r.pid > 1 && err == nil && p.start == r.start && !p.dead() {
			busy = busy || !r.tty && !onlyForwards(r.pid)
			continue
		}
		// What was killed before it began is remembered a while: it may yet come.
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > time.Minute && len(r.session()) == 0 {
			os.Remove(path)
		}
	}
	return busy
}
