package kernel

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/coder/websocket"

	"github.com/masu-lab/masu"
)

// inParts is a message as Jupyter sends those that have binary parts.
func inParts(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	b := binary.BigEndian.AppendUint32(nil, uint32(len(parts)))
	at := 4 * (1 + len(parts))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(at))
		at += len(p)
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// TestSession: everything that is said about a cell is passed on, also what comes with binary parts.
func TestSession(t *testing.T) {
	j := &jupyter{says: func(ctx context.Context, ws *websocket.Conn, me map[string]any) {
		say(ctx, ws, me, "execute_input", map[string]any{"execution_count": 3})
		text, _ := json.Marshal(map[string]any{"header": map[string]any{"msg_type": "comm_msg"}, "parent_header": me, "content": map[string]any{"data": 7}})
		ws.Write(ctx, websocket.MessageBinary, inParts(t, text, []byte{0, 1, 2}))
		say(ctx, ws, me, "comm_open", map[string]any{"text": map[string]any{"of": "another shape"}})
		say(ctx, ws, me, "error", map[string]any{"ename": "E", "evalue": "v"})
		say(ctx, ws, me, "execute_reply", map[string]any{"status": "error", "execution_count": 3})
		say(ctx, ws, me, "status", map[string]any{"execution_state": "idle"})
	}}
	s, err := start(t, j).Open(t.Context(), Document{Path: "train.ipynb", Type: "notebook"})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	r, err := s.Execute(t.Context(), "print(6*7)", func(m Message) { kinds = append(kinds, m.Type) })
	if err != nil || r != (Reply{Count: 3, Failure: "E: v"}) || len(kinds) != 5 || kinds[1] != "comm_msg" {
		t.Errorf("%+v, %v, %q", r, err, kinds)
	}
	s.Close(t.Context())
	if j.deleted.Load() != 1 {
		t.Error("the kernel was left running")
	}
}

func TestFirstPart(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"one": {inParts(t, []byte("a")), "a"}, "two": {inParts(t, []byte("ab"), []byte("c")), "ab"}, "empty": {inParts(t, nil, []byte("c")), ""},
	} {
		if got, err := firstPart(c.b); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, b := range [][]byte{nil, {0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 8}, {255, 255, 255, 255, 0, 0, 0, 8}, {0, 0, 0, 1, 0, 0, 0, 9}, {0, 0, 0, 2, 0, 0, 0, 12, 0, 0, 0, 11}, {0, 0, 0, 2, 0, 0, 0, 12, 0, 0, 0, 99}} {
		if got, err := firstPart(b); err == nil {
			t.Errorf("%v: %q", b, got)
		}
	}
}

func TestSessionRefused(t *testing.T) {
	if _, err := start(t, &jupyter{status: 501}).Open(t.Context(), Document{Path: "x", Type: "notebook", Kernel: "none"}); masu.CodeOf(err) != "jupyter_unreachable" {
		t.Errorf("a kernel that is not there: %v", err)
	}
	if _, err := start(t, &jupyter{}).Kernels(t.Context()); masu.CodeOf(err) != "jupyter_unreachable" {
		t.Errorf("a server that tells no kernels: %v", err)
	}
}
