// Package api carries masu.Service over HTTP on a unix socket: Server gives a
// Service to whoever the kernel says is at the other end, and Client is the
// same Service for the command line.
//
// Calls are JSON under /v1/. What goes on for a while (progress, changes) comes
// as JSON lines, of which the last carries the result or the error. Commands
// and connections take the HTTP connection over (Upgrade): commands speak
// frames (frame.go), connections plain bytes.
package api

import (
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// wire is the version of the protocol. A daemon and a command that differ in
// it do not understand each other; adding routes and fields does not change it.
const wire = 1

const (
	headerVersion = "Masu-Version" // both ways: the wire's version, a space, the program's
	headerAs      = "Masu-As"      // the member that root acts for

	protocolFrames = "masu-frames"
	protocolBytes  = "masu-bytes"

	typeJSON   = "application/json"
	typeLines  = "application/jsonl"
	typeFrames = "application/x-masu-frames"
)

// version reads the header: the wire's version, and the program's.
func version(header string) (number int, program string) {
	first, program, _ := strings.Cut(header, " ")
	number, err := strconv.Atoi(first)
	if err != nil {
		return 0, program
	}
	return number, program
}

// named asks about one workspace.
type named struct {
	Name string `json:"name"`
}

type readRequest struct {
	Dir string `json:"dir"`
}

type projectRequest struct {
	Dir  string `json:"dir"`
	Old  string `json:"old,omitempty"`
	Text string `json:"text"`
}

type memberRequest struct {
	Name   string            `json:"name"`
	Change masu.MemberChange `json:"change"`
}

type imageRequest struct {
	Ref masu.ImageRef `json:"ref"`
}

type pruneRequest struct {
	Dry bool `json:"dry,omitempty"`
}

type passwordRequest struct {
	Password string `json:"password"`
}

type langRequest struct {
	Lang masu.Lang `json:"lang"`
}

type dialRequest struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

type execRequest struct {
	Name string   `json:"name"`
	Exec execSpec `json:"exec"`
}

type runRequest struct {
	masu.RunRequest
	Exec execSpec `json:"exec"`
}

// execSpec is what of masu.Exec is said before the command starts.
type execSpec struct {
	Argv  []string     `json:"argv"`
	Dir   string       `json:"dir,omitempty"`
	Env   []string     `json:"env,omitempty"`
	Root  bool         `json:"root,omitempty"`
	TTY   bool         `json:"tty,omitempty"`
	Stdin bool         `json:"stdin,omitempty"` // there is one
	Size  masu.WinSize `json:"size,omitzero"`
}

func specOf(e masu.Exec) execSpec {
	return execSpec{Argv: e.Argv, Dir: e.Dir, Env: e.Env, Root: e.Root, TTY: e.TTY, Stdin: e.Stdin != nil, Size: e.Size}
}

func (s execSpec) exec() masu.Exec {
	return masu.Exec{Argv: s.Argv, Dir: s.Dir, Env: s.Env, Root: s.Root, TTY: s.TTY, Size: s.Size}
}
