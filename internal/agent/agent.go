// Package agent is masu inside a box: its first process, which receives the
// member, starts and watches the apps, reaps what ends and tells the daemon how
// things are; and the small commands by which the daemon and the member reach
// into a running box.
//
// It is the same program as everything else, mounted read-only into every box,
// and must start in milliseconds: it imports nothing but the standard library,
// the system calls, the dictionary and gauge, which imports no more.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/masu-lab/masu"
)

// Exit codes as shells and engines use them.
const (
	exitUsage   = 2
	exitAgent   = 125 // the agent itself failed
	exitCannot  = 126 // the command is there but cannot be run
	exitMissing = 127 // there is no such command
	exitKilled  = 137
)

// runDir is where the first process and the others find each other.
const runDir = "/run/masu"

// Main is `masu agent ARGS…` and returns its exit code.
//
//	(nothing)       the first process of a box; what it must know stands in MASU_SPEC
//	exec [ORDER] -- ARGV…  become the member and run ARGV; how stands in ORDER, or in MASU_EXEC
//	kill KEY        end what was begun under that key, with its children
//	sftp            serve the member's files to an sftp client at the standard input and output
//	forward         let programs of the box reach the other end of an ssh connection
//	added           tell which packages were installed by hand, as JSON
//	passwd          ask the member for a new password and pass it to the daemon
//	copy DIR        put this program into a folder
//	prepare DIR     make in a folder what the first process cannot make where nobody is root
//	bring DIR TO    copy what a folder holds into an empty one
//	hold            do nothing until it is ended
//	pack DIR        write what a folder holds to the standard output, as a tar
//	unpack DIR      fill an empty folder from a tar at the standard input
//	end SECONDS     end the box, at once after so many seconds
func Main(ctx context.Context, args []string) int {
	if len(args) == 0 {
		return firstProcess(ctx)
	}
	switch verb, rest := args[0], args[1:]; {
	case verb == "exec" && len(rest) > 1 && rest[0] == "--":
		return execute(ctx, os.Getenv("MASU_EXEC"), rest[1:])
	case verb == "exec" && len(rest) > 2 && rest[1] == "--":
		return execute(ctx, rest[0], rest[2:])
	case verb == "copy" && len(rest) == 1:
		return copySelf(rest[0])
	case verb == "prepare" && len(rest) == 1:
		return prepare(rest[0])
	case verb == "bring" && len(rest) == 2:
		return bring(rest[0], rest[1])
	case verb == "hold" && len(rest) == 0:
		return hold(ctx)
	case verb == "pack" && len(rest) == 1:
		return packTo(rest[0], os.Stdout)
	case verb == "unpack" && len(rest) == 1:
		return unpackIn(rest[0], os.Stdin)
	case verb == "end" && len(rest) == 1:
		return endBox(ctx, rest[0])
	case verb == "kill" && len(rest) == 1:
		return kill(ctx, rest[0])
	case verb == "sftp" && len(rest) == 0:
		return serveFiles()
	case verb == "forward" && len(rest) == 0:
		return forwardAll(ctx)
	case verb == "added" && len(rest) == 0:
		return tellAdded()
	case verb == "passwd" && len(rest) == 0:
		return passwd(ctx)
	}
	complain(fmt.Errorf("unknown arguments %q", args))
	return exitUsage
}

// complain tells whoever reads the box's log, or the caller's terminal.
func complain(err error) { fmt.Fprintln(os.Stderr, "masu agent:", err) }

// takeSpec reads what the box is for. The variables by which it came are for
// this process only.
func takeSpec() (masu.AgentSpec, error) {
	text := os.Getenv("MASU_SPEC")
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MASU_") {
			os.Unsetenv(name)
		}
	}
	var spec masu.AgentSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return spec, fmt.Errorf("MASU_SPEC: %w", err)
	}
	return spec, checkSpec(spec)
}

// checkSpec refuses what would break the files that the account is written to.
func checkSpec(s masu.AgentSpec) error {
	odd := func(name string) bool {
		return name == "" || name[0] == '-' || strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune(`:/,\`, r)
		})
	}
	inside := func(path string) bool {
		return filepath.IsAbs(path) && filepath.Clean(path) == path && path != "/" && !strings.ContainsAny(path, ":\n")
	}
	u := s.User
	switch {
	case odd(string(u.Name)):
		return fmt.Errorf("the member's name %q cannot be an account's", u.Name)
	case u.UID < 0 || u.GID < 0 || u.UID == 0 != (u.Name == "root"):
		return fmt.Errorf("%s cannot have the numbers %d:%d", u.Name, u.UID, u.GID)
	case !inside(u.Home) || !inside(s.Work):
		return fmt.Errorf("home %q and project folder %q must be absolute paths", u.Home, s.Work)
	}
	for _, g := range u.Groups {
		if odd(g.Name) || g.GID < 0 {
			return errors.New("a group without a proper name")
		}
	}
	return nil
}
