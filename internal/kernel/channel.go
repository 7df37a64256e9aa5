package kernel

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/masu-lab/masu"
)

// maxMessage bounds one message of a kernel; a cell of ours prints little.
const maxMessage = 16 << 20

// channel is the WebSocket that carries a kernel's channels.
type channel struct {
	ws *websocket.Conn
	id string // of the session, as this client calls itself
}

type header struct {
	ID      string `json:"msg_id"`
	Type    string `json:"msg_type"`
	User    string `json:"username"`
	Session string `json:"session"`
	Date    string `json:"date"`
	Version string `json:"version"`
}

// message is one message of the kernel protocol. Content holds the fields of
// every kind of message that is understood here.
type message struct {
	Header   header         `json:"header"`
	Parent   header         `json:"parent_header"`
	Metadata map[string]any `json:"metadata"`
	Content  content        `json:"content"`
	Channel  string         `json:"channel"`
}

type content struct {
	// stream, execute_result, display_data
	Text string         `json:"text,omitempty"`
	Data map[string]any `json:"data,omitempty"`
	// error, execute_reply
	Status string `json:"status,omitempty"`
	Name   string `json:"ename,omitempty"`
	Value  string `json:"evalue,omitempty"`
	// status
	State string `json:"execution_state,omitempty"`
}

type request struct {
	Header   header         `json:"header"`
	Parent   struct{}       `json:"parent_header"`
	Metadata struct{}       `json:"metadata"`
	Content  map[string]any `json:"content"`
	Channel  string         `json:"channel"`
	Buffers  []any          `json:"buffers"`
}

func (c *Client) dial(ctx context.Context, s session) (*channel, error) {
	ch := &channel{id: rand.Text()}
	address := c.Base + "/api/kernels/" + url.PathEscape(s.Kernel.ID) + "/channels?session_id=" + ch.id
	ws, _, err := websocket.Dial(ctx, strings.Replace(address, "http", "ws", 1), &websocket.DialOptions{
		HTTPClient: c.HTTP, // its jar gives the cookies
		HTTPHeader: http.Header{"Origin": {c.Base}},
	})
	if err != nil {
		return nil, unreachable(ctx, "WebSocket /api/kernels", err)
	}
	ws.SetReadLimit(maxMessage)
	ch.ws = ws
	return ch, nil
}

// execute sends a cell and collects what it prints until the kernel has both
// replied and become idle: output may come after the reply.
func (ch *channel) execute(ctx context.Context, code string) (string, error) {
	id := rand.Text()
	err := wsjson.Write(ctx, ch.ws, request{
		Header: header{id, "execute_request", "masu", ch.id, time.Now().UTC().Format(time.RFC3339), "5.3"},
		Content: map[string]any{"code": code, "silent": false, "store_history": false,
			"user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true},
		Channel: "shell",
		Buffers: []any{},
	})
	if err != nil {
		return "", unreachable(ctx, "execute_request", err)
	}
	var out strings.Builder
	var failed error
	for replied, idle := false, false; !replied || !idle; {
		var m message
		if err := wsjson.Read(ctx, ch.ws, &m); err != nil {
			return out.String(), unreachable(ctx, "execute_reply", err)
		}
		if m.Header.Type == "status" && (m.Content.State == "dead" || m.Content.State == "restarting") {
			return out.String(), masu.E(masu.Unreachable, "kernel_died")
		}
		if m.Parent.ID != id {
			continue
		}
		switch m.Header.Type {
		case "stream":
			out.WriteString(m.Content.Text)
		case "execute_result", "display_data":
			if s, ok := m.Content.Data["text/plain"].(string); ok {
				out.WriteString(s + "\n")
			}
		case "error":
			failed = masu.E(masu.Invalid, "cell_failed", m.Content.Name+": "+m.Content.Value)
		case "execute_reply":
			replied = true
			if m.Content.Status == "error" && failed == nil {
				failed = masu.E(masu.Invalid, "cell_failed", m.Content.Name+": "+m.Content.Value)
			}
		case "status":
			idle = m.Content.State == "idle"
		}
	}
	return out.String(), failed
}
