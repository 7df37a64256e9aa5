package sshd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

const (
	insideTime = 10 * time.Second // for the helper in the box to answer
	eventMost  = 16 << 10
)

// inside is what one connection has in its box besides programs: a helper that
// listens there as the member (see masu.ForwardOrder), begun when it is first needed.
type inside struct {
	mu     sync.Mutex
	helper *helper // nil, or ended
	agent  string  // the helper's socket that stands for the laptop's agent
}

// helper is one `masu agent forward`.
type helper struct {
	dial   func(port int) (net.Conn, error)
	orders *io.PipeWriter
	ended  chan struct{}

	mu      sync.Mutex
	door    masu.ForwardEvent
	last    int
	waiting map[int]chan masu.ForwardEvent
	called  map[int]func(call masu.ForwardEvent) // what becomes of who connects, by order
}

var errHelperGone = errors.New("sshd: the helper in the box has ended")

// in gives the helper, which must be of the workspace as it runs now.
func (i *inside) in(ctx context.Context, c *client, w masu.Workspace) (*helper, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.helper != nil {
		select {
		case <-i.helper.ended:
		default:
			return i.helper, nil
		}
	}
	h, err := c.begin(ctx, w)
	if err != nil {
		return nil, err
	}
	i.helper, i.agent = h, ""
	return h, nil
}

// begin starts the helper and waits until it can be reached.
func (c *client) begin(ctx context.Context, w masu.Workspace) (*helper, error) {
	in, orders := io.Pipe()
	events, out := io.Pipe()
	h := &helper{orders: orders, ended: make(chan struct{}), waiting: map[int]chan masu.ForwardEvent{}, called: map[int]func(masu.ForwardEvent){},
		dial: func(port int) (net.Conn, error) { return c.service.Dial(c.ctx, string(w.ID), port) }}
	ready := make(chan masu.ForwardEvent, 1)
	h.waiting[0] = ready
	go func() {
		_, err := c.service.Exec(c.ctx, string(w.ID), masu.Exec{Argv: forwardArgv, Stdin: in, Stdout: out})
		_ = in.CloseWithError(errHelperGone)
		_ = out.CloseWithError(cmpErr(err))
	}()
	go h.listen(events)
	select {
	case e, ok := <-ready:
		if !ok {
			return nil, errHelperGone
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.door = e
		return h, nil
	case <-time.After(insideTime):
		_ = orders.Close()
		return nil, errHelperGone
	case <-ctx.Done():
		_ = orders.Close()
		return nil, context.Cause(ctx)
	}
}

func cmpErr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// listen takes what the helper tells until it ends. A line too long is none of its.
func (h *helper) listen(events *io.PipeReader) {
	defer h.end(events)
	lines := bufio.NewReaderSize(events, eventMost)
	for {
		line, err := lines.ReadSlice('\n')
		var e masu.ForwardEvent
		if err != nil || json.Unmarshal(line, &e) != nil {
			return
		}
		h.mu.Lock()
		if e.Call != 0 {
			if called := h.called[e.ID]; called != nil {
				called(e)
			}
		} else if to := h.waiting[e.ID]; to != nil {
			to <- e
			delete(h.waiting, e.ID)
		}
		h.mu.Unlock()
	}
}

func (h *helper) end(events *io.PipeReader) {
	_ = events.CloseWithError(errHelperGone)
	_ = h.orders.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiting {
		close(w)
	}
	close(h.ended)
}

// order has the helper listen; called must not block. It gives the order's number and where it listens.
func (h *helper) order(ctx context.Context, o masu.ForwardOrder, called func(masu.ForwardEvent)) (int, string, error) {
	answer := make(chan masu.ForwardEvent, 1)
	h.mu.Lock()
	h.last++
	o.ID = h.last
	h.waiting[o.ID], h.called[o.ID] = answer, called
	h.mu.Unlock()
	err := h.send(o)
	if err == nil {
		select {
		case e, ok := <-answer:
			if ok && e.Error == "" {
				return o.ID, e.Address, nil
			}
			err = errors.New(e.Error)
			if !ok {
				err = errHelperGone
			}
		case <-h.ended:
			err = errHelperGone
		case <-time.After(insideTime):
			err = errHelperGone
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	h.cancel(o.ID)
	return 0, "", err
}

// cancel ends what an order began.
func (h *helper) cancel(id int) {
	h.mu.Lock()
	delete(h.called, id)
	delete(h.waiting, id)
	h.mu.Unlock()
	_ = h.send(masu.ForwardOrder{ID: id}) // fails only where the helper has ended
}

func (h *helper) send(o masu.ForwardOrder) error {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = h.orders.Write(append(line, '\n'))
	}
	return err
}

// call gives the connection that is meant, through the helper's door.
func (h *helper) call(q masu.ForwardCall) (net.Conn, error) {
	h.mu.Lock()
	door := h.door
	h.mu.Unlock()
	conn, err := h.dial(door.Door)
	if err != nil {
		return nil, err
	}
	q.Secret = door.Secret
	line, err := json.Marshal(q)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(insideTime)) // an error is one of the next lines too
		_, err = conn.Write(append(line, '\n'))
	}
	if err == nil {
		err = answered(conn)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// answered reads the door's line and not a byte more: what follows is another's.
func answered(conn net.Conn) error {
	var line strings.Builder
	b := make([]byte, 1)
	for line.Len() < 512 {
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if b[0] == '\n' {
			if line.String() == "ok" {
				return nil
			}
			break
		}
		line.WriteByte(b[0])
	}
	return fmt.Errorf("sshd: %s", line.String())
}

// agentSocket gives the socket in the box behind which the laptop's agent answers.
func (i *inside) agentSocket(ctx context.Context, c *client, w masu.Workspace) (string, error) {
	h, err := i.in(ctx, c, w)
	if err != nil {
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.agent == "" {
		_, i.agent, err = h.order(ctx, masu.ForwardOrder{Network: masu.ForwardAgent}, c.offer(h, "auth-agent@openssh.com", func(masu.ForwardEvent) []byte { return nil }))
	}
	return i.agent, err
}
