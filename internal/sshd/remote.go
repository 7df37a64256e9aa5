package sshd

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

// listenedMost is how much of a box one connection may have listened on.
const listenedMost = 16

// listened is where the box listens for the laptop, as the laptop calls it.
type listened struct {
	network, address string
	port             uint32
}

// order is what the helper in the box knows a listened by.
type order struct {
	helper *helper
	id     int
}

// requests answers those that are about the whole connection, until it ends.
// Keep-alives want any answer; all else than listening in the box is refused.
func (c *client) requests(requests <-chan *ssh.Request) {
	open := map[listened]order{}
	for r := range requests {
		var answer []byte
		ok := false
		switch r.Type {
		case "tcpip-forward", "streamlocal-forward@openssh.com":
			answer, ok = c.remote(open, r)
		case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com":
			if at, err := readListened(r); err == nil && open[at].helper != nil {
				open[at].helper.cancel(open[at].id)
				delete(open, at)
				ok = true
			}
		}
		if r.WantReply {
			_ = r.Reply(ok, answer) // fails only where the connection has gone
		}
	}
}

func readListened(r *ssh.Request) (at listened, err error) {
	if r.Type == "tcpip-forward" || r.Type == "cancel-tcpip-forward" {
		var m struct {
			Host string
			Port uint32
		}
		err = ssh.Unmarshal(r.Payload, &m)
		return listened{masu.ForwardTCP, m.Host, m.Port}, err
	}
	var m struct{ Path string }
	err = ssh.Unmarshal(r.Payload, &m)
	return listened{masu.ForwardUnix, m.Path, 0}, err
}

// where is what the helper is told; "" for what is not the box's own.
func (l listened) where() string {
	if l.network == masu.ForwardUnix {
		if len(l.address) > mostPath {
			return ""
		}
		return l.address
	}
	host := l.address
	switch host {
	case "localhost", "":
		host = "127.0.0.1"
	case "127.0.0.1", "::1":
	default:
		return ""
	}
	if l.port > 65535 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(l.port)))
}

// remote has the box listen for the laptop. Answers come in the order of the
// requests, so a workspace that is being started is waited for only a little.
func (c *client) remote(open map[listened]order, r *ssh.Request) ([]byte, bool) {
	at, err := readListened(r)
	where := at.where()
	if err != nil || where == "" || c.who.limits.NoForward || len(open) >= listenedMost {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(c.ctx, insideTime)
	defer cancel()
	w, err := c.ready(ctx, func(masu.Workspace) {}, func(masu.Progress) {})
	if err != nil {
		return nil, false
	}
	h, err := c.inside.in(ctx, c, w)
	if err != nil {
		c.server.Log.Info("ssh: not listened", "user", c.who.Name, "workspace", c.name, "error", err)
		return nil, false
	}
	asked, kind := at, "forwarded-streamlocal@openssh.com"
	if at.network == masu.ForwardTCP {
		kind = "forwarded-tcpip"
	}
	id, address, err := h.order(ctx, masu.ForwardOrder{Network: at.network, Address: where}, c.offer(h, kind, func(e masu.ForwardEvent) []byte {
		if kind != "forwarded-tcpip" {
			return ssh.Marshal(struct{ Path, Reserved string }{asked.address, ""})
		}
		from, _ := netip.ParseAddrPort(e.From)
		return ssh.Marshal(struct {
			Host     string
			Port     uint32
			FromHost string
			FromPort uint32
		}{asked.address, portOf(e.Address), from.Addr().String(), uint32(from.Port())})
	}))
	if err != nil {
		c.server.Log.Info("ssh: not listened", "user", c.who.Name, "workspace", c.name, "error", err)
		return nil, false
	}
	if at.network == masu.ForwardTCP {
		at.port = portOf(address)
	}
	open[at] = order{h, id}
	if at.network == masu.ForwardTCP && asked.port == 0 {
		return ssh.Marshal(struct{ Port uint32 }{at.port}), true
	}
	return nil, true
}

func portOf(address string) uint32 {
	p, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0
	}
	return uint32(p.Port())
}

// offer gives what becomes of those who connect in the box: a channel to the
// laptop each, of that kind and with those words.
func (c *client) offer(h *helper, kind string, words func(masu.ForwardEvent) []byte) func(masu.ForwardEvent) {
	return func(e masu.ForwardEvent) {
		if !c.server.opens(c) {
			return // the helper sends them away in a moment
		}
		go func() {
			defer c.server.closes(c)
			ch, requests, err := c.conn.OpenChannel(kind, words(e))
			if err != nil {
				return
			}
			conn, err := h.call(masu.ForwardCall{Call: e.Call})
			if err != nil {
				go ssh.DiscardRequests(requests)
				_ = ch.Close()
				return
			}
			carry(ch, requests, conn)
		}()
	}
}

// mostPath is how long a socket's path may be: as long as the kernel takes them.
const mostPath = 107

// forwardSocket joins a channel with a socket of the box's, with the member's rights.
func (c *client) forwardSocket(asked ssh.NewChannel) {
	var to struct {
		Path, Reserved string
		Port           uint32
	}
	if err := ssh.Unmarshal(asked.ExtraData(), &to); err != nil {
		_ = asked.Reject(ssh.ConnectionFailed, "not understood")
		return
	}
	if to.Path == "" || len(to.Path) > mostPath || c.who.limits.NoForward {
		_ = asked.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	c.join(asked, func(w masu.Workspace) (net.Conn, error) {
		h, err := c.inside.in(c.ctx, c, w)
		if err != nil {
			return nil, err
		}
		return h.call(masu.ForwardCall{Socket: to.Path})
	})
}
