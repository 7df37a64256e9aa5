package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
	"github.com/masu-lab/masu/internal/masutest"
)

// TestStories runs the scripts in testdata/script: the real program against a
// lab in memory, behind the real protocol. Each identity is a command:
//
//	alice masu up bert      must succeed
//	! bob masu stop bert    must fail
//	code 125                its exit code
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return setUpLab(t, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"alice": as("alice"), "bob": as("bob"), "boss": as("boss"), "nobody": as("nobody"),
			"code": exitCode,
		},
	})
}

type lastCode struct{ code int }

// as runs a program as one of the members: with their socket and in their home.
func as(who string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) == 0 {
			ts.Fatalf("usage: %s PROGRAM [ARG]...", who)
		}
		ts.Setenv("MASU_SOCKET", filepath.Join(ts.Getenv("SOCKETS"), who))
		ts.Setenv("HOME", filepath.Join(ts.Getenv("WORK"), who))
		err := ts.Exec(args[0], args[1:]...)
		last := ts.Value("code").(*lastCode)
		last.code = 0
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			last.code = e.ExitCode()
		}
		if err != nil && !neg {
			ts.Fatalf("%s: %v", who, err)
		}
		if err == nil && neg {
			ts.Fatalf("%s: it succeeded", who)
		}
	}
}

func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: code NUMBER")
	}
	if got := ts.Value("code").(*lastCode).code; strconv.Itoa(got) != args[0] {
		ts.Fatalf("the exit code was %d, not %s", got, args[0])
	}
}

// openGate lets everybody in who has an account.
type openGate struct{ masu.Gate }

func (openGate) Ended(context.Context) iter.Seq[masu.Ending] {
	return func(func(masu.Ending) bool) {}
}

func (openGate) ByUID(_ context.Context, uid int) (masu.User, error) {
	for _, u := range members {
		if u.UID == uid {
			return u, nil
		}
	}
	return masu.User{}, masu.E(masu.Denied, "not_a_member")
}

var members = map[string]masu.User{
	"alice": {Name: "alice", UID: 30001, GID: 30001, Home: "/home/alice"},
	"bob":   {Name: "bob", UID: 30002, GID: 30002, Home: "/home/bob"},
	"boss":  {Name: "boss", UID: 30003, GID: 30003, Home: "/home/boss", Admin: true},
}

type accounts struct{ masu.Accounts }

// setUpLab starts a lab of the script's own, with one socket for each member:
// who comes by a socket is its owner, as the kernel would say.
func setUpLab(t *testing.T, env *testscript.Env) error {
	lab, d := masutest.NewService(), newDoors(t)
	ctx, cancel := context.WithCancel(context.Background())
	var servers sync.WaitGroup
	env.Defer(func() {
		cancel()
		servers.Wait()
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	sockets, err := os.MkdirTemp("", "masu-cli-") // the script's own folder may be too long a path for a socket
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(sockets) })
	for name, user := range members {
		l, err := api.Listen(filepath.Join(sockets, name), 0o600)
		if err != nil {
			return err
		}
		s, err := api.NewServer(api.ServerConfig{
			Identify: func(*net.UnixConn) (int, error) { return user.UID, nil },
			Gate:     openGate{},
			Accounts: accounts{},
			As:       func(a masu.Actor) masu.Service { return linker{lab.As(a), d} },
			Log:      slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return err
		}
		servers.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
		if err := os.MkdirAll(filepath.Join(env.WorkDir, name), 0o755); err != nil {
			return err
		}
	}
	if bin := os.Getenv("MASU_BIN"); bin != "" { // the program itself, where there is one: it starts many times faster than a test
		path := filepath.Join(sockets, "bin")
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := os.Symlink(bin, filepath.Join(path, "masu")); err != nil {
			return err
		}
		env.Setenv("PATH", path+":"+env.Getenv("PATH"))
	}
	env.Values["code"] = &lastCode{}
	env.Vars = append(env.Vars, "SOCKETS="+sockets, "MASU_LANG=en", "NO_COLOR=1", "SUDO_USER=")
	return nil
}
