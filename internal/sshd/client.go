package sshd

import (
	"cmp"
	"context"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

// client is one connection, of somebody who is known.
type client struct {
	server   *Server
	conn     *ssh.ServerConn
	who      visitor
	service  masu.Service
	name     string // the workspace that is asked for
	ctx      context.Context
	cancel   context.CancelFunc
	channels int // that are open; the server's lock guards it
	inside   inside
}

func newClient(ctx context.Context, s *Server, conn *ssh.ServerConn) *client {
	who, _ := conn.Permissions.ExtraData[visitorKey{}].(visitor) // of the key by which the handshake ended
	c := &client{server: s, conn: conn, who: who, name: cmp.Or(who.workspace, conn.User()), service: s.As(masu.Actor{User: who.User, Door: masu.DoorSSH})}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// end closes the connection; what runs there ends with it.
func (c *client) end() {
	c.cancel()
	_ = c.conn.Close()
}

// serve takes channels until the connection ends.
func (c *client) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var work sync.WaitGroup
	defer work.Wait()
	defer c.end()
	work.Go(func() { c.requests(requests) })
	for asked := range channels {
		if !c.server.opens(c) {
			_ = asked.Reject(ssh.ResourceShortage, "too many channels")
			continue
		}
		work.Go(func() {
			defer c.server.closes(c)
			c.channel(asked)
		})
	}
}

// channel serves one. Refusing fails only where the connection has gone.
func (c *client) channel(asked ssh.NewChannel) {
	switch asked.ChannelType() {
	case "session":
		if ch, requests, err := asked.Accept(); err == nil {
			newSession(c, ch).serve(requests)
		}
	case "direct-tcpip":
		c.forward(asked)
	case "direct-streamlocal@openssh.com":
		c.forwardSocket(asked)
	default: // X11, tunnels
		_ = asked.Reject(ssh.Prohibited, "administratively prohibited")
	}
}

// workspace finds the one that is asked for. A guest's is none: guests look and open apps.
func (c *client) workspace(ctx context.Context) (masu.Workspace, error) {
	w, err := c.service.Workspace(ctx, c.name)
	if err == nil && w.Owner != c.who.Name && !c.who.Admin {
		err = masu.E(masu.NotFound, "no_workspace", c.name)
	}
	// Whose the key is may be a surprise, so it is said; whether somebody else has a workspace of that name is not.
	if err != nil && masu.CodeOf(err) == "no_workspace" {
		return masu.Workspace{}, masu.E(masu.NotFound, "ssh_no_workspace", strconv.Quote(c.name), c.who.Name) // the name may hold anything
	}
	return w, err
}

// forward joins a channel with a port of the box's own loopback, and with no other.
func (c *client) forward(asked ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(asked.ExtraData(), &to); err != nil {
		_ = asked.Reject(ssh.ConnectionFailed, "not understood")
		return
	}
	local := to.Host == "localhost" || to.Host == "127.0.0.1" || to.Host == "::1"
	if !local || to.Port > 65535 || c.who.limits.NoForward {
		_ = asked.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	c.join(asked, func(w masu.Workspace) (net.Conn, error) { return c.service.Dial(c.ctx, string(w.ID), int(to.Port)) })
}

// join connects a channel that the other side asks for with what is reached in the workspace.
func (c *client) join(asked ssh.NewChannel, reach func(masu.Workspace) (net.Conn, error)) {
	w, err := c.workspace(c.ctx)
	if err != nil {
		_ = asked.Reject(ssh.Prohibited, c.server.sentence(c.who.Lang, err))
		return
	}
	conn, err := reach(w)
	if err != nil {
		_ = asked.Reject(ssh.ConnectionFailed, c.server.sentence(c.who.Lang, err))
		return
	}
	ch, requests, err := asked.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	carry(ch, requests, conn)
}

// carry moves bytes both ways until both sides have said all, or the channel ends.
func carry(ch ssh.Channel, requests <-chan *ssh.Request, inside net.Conn) {
	defer inside.Close()
	var watch, copies sync.WaitGroup
	watch.Go(func() { ssh.DiscardRequests(requests); _ = inside.Close() }) // the channel has ended
	copies.Go(func() {
		_, err := io.Copy(inside, ch)
		if half, ok := inside.(interface{ CloseWrite() error }); !ok || err != nil || half.CloseWrite() != nil {
			_ = inside.Close()
		}
	})
	copies.Go(func() {
		_, _ = io.Copy(ch, inside)
		_ = ch.CloseWrite()
	})
	copies.Wait()
	_ = ch.Close()
	watch.Wait()
}
