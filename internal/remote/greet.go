package remote

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/masu-lab/masu"
)

// greeting begins the line with which the far end says that the daemon is
// reached, or why not. It sets masu's own words apart from what a login's shell
// prints of itself.
const greeting = "masu-dial/1 "

// socketWord begins the line before it, with the socket where the daemon
// listens; a near end that does not know it takes it for noise.
const socketWord = "masu-socket/1 "

// maxNoise bounds what a login's shell may print before the greeting.
const maxNoise = 64 << 10

// refusal is an error as it travels.
type refusal struct {
	Kind string   `json:"kind"`
	Code string   `json:"code"`
	Args []string `json:"args,omitempty"`
}

// Greet is the far end's first word: nil means that bytes go to and from the daemon at socket from now on.
func Greet(w io.Writer, socket string, err error) error {
	where, word := "", "ok"
	if plainPath(socket) {
		where = socketWord + socket + "\n"
	}
	if err != nil {
		e, ok := errors.AsType[*masu.Error](err)
		if !ok {
			e = masu.E(masu.Internal, "internal")
		}
		b, err := json.Marshal(refusal{e.Kind.String(), e.Code, e.Args})
		if err != nil {
			return err
		}
		word = string(b)
	}
	_, err = io.WriteString(w, where+greeting+word+"\n")
	return err
}

// errSilent means that the far end ended without a greeting.
var errSilent = errors.New("remote: no greeting")

// awaitGreeting reads up to the far end's first word, and gives its error, or
// where its daemon listens if it says so. It reads no byte more than that: the
// rest is the daemon's.
func awaitGreeting(r io.Reader) (socket string, err error) {
	var line []byte
	b := make([]byte, 1)
	for range maxNoise {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", errSilent
		}
		if b[0] != '\n' {
			line = append(line, b[0])
			continue
		}
		if _, word, ok := strings.Cut(string(line), greeting); ok {
			return socket, understood(word)
		}
		if _, path, ok := strings.Cut(string(line), socketWord); ok && plainPath(path) {
			socket = path
		}
		line = line[:0]
	}
	return "", errSilent
}

func understood(word string) error {
	if word == "ok" {
		return nil
	}
	var e refusal
	if err := json.Unmarshal([]byte(word), &e); err != nil || e.Code == "" {
		return errSilent
	}
	return &masu.Error{Kind: masu.ParseKind(e.Kind), Code: e.Code, Args: e.Args}
}
