package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// engineMembers are accounts that the stories below make and remove.
var engineMembers = []string{"masucli-alice", "masucli-mallory"}

// TestEngineStories runs the scripts in testdata/engine against a real daemon
// on the real engine, as real logins of this host; one of them is an attacker.
func TestEngineStories(t *testing.T) {
	bin := os.Getenv("MASU_BIN")
	if os.Getenv("MASU_TEST_ENGINE") == "" || bin == "" || os.Geteuid() != 0 {
		t.Skip("needs root, MASU_TEST_ENGINE and MASU_BIN; make test gives all three")
	}
	testscript.RunT(serial{t}, testscript.Params{
		Dir:                 "testdata/engine",
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return setUpDaemon(t, env, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"root": asLogin(""), "alice": asLogin("masucli-alice"), "mallory": asLogin("masucli-mallory"),
			"code": exitCode, "field": field, "registry": startRegistry,
		},
	})
}

// serial runs stories one after the other: they make the same accounts.
type serial struct{ *testing.T }

func (s serial) Parallel()     {}
func (s serial) Verbose() bool { return testing.Verbose() }
func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// asLogin runs a program as a login of the host, as su would.
func asLogin(who string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if who != "" {
			ts.Setenv("HOME", filepath.Join(ts.Getenv("HOMES"), who))
			args = append([]string{"setpriv", "--reuid", who, "--regid", who, "--init-groups", "--"}, args...)
		}
		err := ts.Exec(args[0], args[1:]...)
		last := ts.Value("code").(*lastCode)
		last.code = 0
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			last.code = e.ExitCode()
		}
		if (err != nil) != neg {
			ts.Fatalf("%s %v: %v", who, args, err)
		}
	}
}

// field puts a field of the JSON in a file into a variable: field FILE NAME VARIABLE.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field FILE NAME VARIABLE")
	}
	var m map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &m))
	s, ok := m[args[1]].(string)
	if !ok {
		ts.Fatalf("%s has no text %s", args[0], args[1])
	}
	ts.Setenv(args[2], s)
}

// setUpDaemon starts a daemon of the story's own and removes all that it made.
func setUpDaemon(t *testing.T, env *testscript.Env, bin string) error {
	dir, err := os.MkdirTemp("", "masu-cli-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // members must come through
		return err
	}
	env.Defer(func() { os.RemoveAll(dir) })
	for _, name := range engineMembers {
		home := filepath.Join(dir, "homes", name)
		if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
			return err
		}
		_ = exec.Command("userdel", "-f", name).Run() // left by a test that was killed
		if out, err := exec.Command("useradd", "--create-home", "--home-dir", home, "--shell", "/bin/sh", name).CombinedOutput(); err != nil {
			return errors.New(string(out))
		}
		env.Defer(func() { _ = exec.Command("userdel", "-f", name).Run() })
	}
	path := filepath.Join(dir, "bin")
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	if err := exec.Command("cp", bin, filepath.Join(path, "masu")).Run(); err != nil {
		return err
	}
	socket, state := filepath.Join(dir, "run", "masu.sock"), filepath.Join(dir, "state")
	daemon := exec.Command(filepath.Join(path, "masu"), "serve", "--socket", socket, "--state", state, "--listen", "127.0.0.1:0")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return err
	}
	env.Defer(func() {
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the daemon said:\n%s", b)
		}
		for _, who := range engineMembers {
			c, err := net.Dial("unix", socket)
			if err != nil {
				break // the story has ended the daemon, and tidied up itself
			}
			_ = c.Close()
			rm := exec.Command("sh", "-c", `for w in $(masu ls -q); do masu rm --yes $w; done`)
			rm.Env = []string{"PATH=" + path + ":/usr/bin:/bin", "MASU_SOCKET=" + socket, "SUDO_USER=" + who}
			if out, err := rm.CombinedOutput(); err != nil {
				t.Errorf("removing the workspaces of %s: %v: %s", who, err, out)
			}
		}
		_ = daemon.Process.Signal(syscall.SIGTERM)
		if err := daemon.Wait(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	env.Values["code"] = &lastCode{}
	env.Vars = append(env.Vars, "PATH="+path+":/usr/sbin:/usr/bin:/sbin:/bin", "MASU_SOCKET="+socket, "STATE="+state,
		"HOMES="+filepath.Join(dir, "homes"), "MASU_LANG=en", "NO_COLOR=1", "SUDO_USER=", "DAEMON="+strconv.Itoa(daemon.Process.Pid))
	return awaitSocket(socket)
}

func awaitSocket(path string) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}
