package kernel

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
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

// message is one message of the kernel protocol.
type message struct {
	Header  header          `json:"header"`
	Parent  header          `json:"parent_header"`
	Content json.RawMessage `json:"content"`
}

// content holds what is understood here of every kind of message.
type content struct {
	// stream, execute_result, display_data
	Text string         `json:"text"`
	Data map[string]any `json:"data"`
	// error, execute_reply
	Status string `json:"status"`
	Name   string `json:"ename"`
	Value  string `json:"evalue"`
	Count  int    `json:"execution_count"`
	// status
	State string `json:"execution_state"`
}

type request struct {
	Header   header         `json:"header"`
	Parent   struct{}       `json:"parent_header"`
	Metadata struct{}       `json:"metadata"`
	Content  map[string]any `json:"content"`
	Channel  string         `json:"channel"`
	Buffers  []any          `json:"buffers"`
}

func (c *Client) dial(ctx context.Context, s made) (*channel, error) {
	ch := &channel{id: rand.Text()}
	address := c.Base + "/api/kernels/" + url.PathEscape(s.Kernel.ID) + "/channels?session_id=" + ch.id
	ws, _, err := websocket.Dial(ctx, strings.Replace(address, "http", "ws", 1), &websocket.DialOptions{
		HTTPClient: c.HTTP, // its jar gives the cookies
		HTTPHeader: http.Header{"Origin": {c.Base}},
	})
	if err != nil {
		return nil, unreachable(ctx, "WebSocket /api/kernels", err)
	}
	ws.SetReadLimit(cmp.Or(c.Most, maxMessage))
	ch.ws = ws
	return ch, nil
}

// read gives the next message. One with binary parts, as widgets send, comes in
// a frame that tells where each part begins: their number, then the offsets; the
// first is the message itself, and nothing here needs the others.
func (ch *channel) read(ctx context.Context) (m message, err error) {
	kind, b, err := ch.ws.Read(ctx)
	if err != nil {
		return m, err
	}
	if kind == websocket.MessageBinary {
		if b, err = firstPart(b); err != nil {
			return m, err
		}
	}
	return m, json.Unmarshal(b, &m)
}

func firstPart(b []byte) ([]byte, error) {
	word := func(i uint64) uint64 { return uint64(binary.BigEndian.Uint32(b[4*i:])) }
	if len(b) < 8 || word(0) == 0 || 4*(1+word(0)) > uint64(len(b)) {
		return nil, errors.New("a binary message that is not understood")
	}
	begin, end := word(1), uint64(len(b))
	if word(0) > 1 {
		end = word(2)
	}
	if begin > end || end > uint64(len(b)) {
		return nil, errors.New("a binary message that is not understood")
	}
	return b[begin:end], nil
}

// execute sends a cell and passes on what the kernel says about it, until the
// kernel has both replied and become idle: output may come after the reply.
func (ch *channel) execute(ctx context.Context, code string, history bool, said func(Message)) (r Reply, err error) {
	id := rand.Text()
	err = wsjson.Write(ctx, ch.ws, request{
		Header: header{id, "execute_request", "masu", ch.id, time.Now().UTC().Format(time.RFC3339), "5.3"},
		Content: map[string]any{"code": code, "silent": false, "store_history": history,
			"user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true},
		Channel: "shell",
		Buffers: []any{},
	})
	if err != nil {
		return r, unreachable(ctx, "execute_request", err)
	}
	for replied, idle := false, false; !replied || !idle; {
		m, err := ch.read(ctx)
		if err != nil {
			return r, unreachable(ctx, "execute_reply", err)
		}
		var c content
		switch m.Header.Type { // other contents may be of any shape
		case "status", "error", "execute_reply":
			if err := json.Unmarshal(m.Content, &c); err != nil {
				return r, unreachable(ctx, m.Header.Type, err)
			}
		}
		if m.Header.Type == "status" && (c.State == "dead" || c.State == "restarting") {
			return r, masu.E(masu.Unreachable, "kernel_died")
		}
		if m.Parent.ID != id {
			continue
		}
		switch m.Header.Type {
		case "status":
			idle = c.State == "idle"
			continue
		case "error":
			r.Failure = c.Name + ": " + c.Value
		case "execute_reply":
			replied, r.Count = true, c.Count
			r.Well = c.Status == "ok"
			if c.Status == "error" && r.Failure == "" {
				r.Failure = c.Name + ": " + c.Value
			}
		}
		said(Message{Type: m.Header.Type, Content: m.Content})
	}
	return r, nil
}
