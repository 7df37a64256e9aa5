package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
	"github.com/masu-lab/masu/internal/text"
)

// reach opens the way to the pages of a server elsewhere, where they listen on
// its own loopback only.
func (a *app) reach(ctx context.Context, pages string) error {
	port, local := loopbackPort(pages)
	if a.server == nil || a.pages != nil || !local {
		return nil
	}
	link, err := a.far()
	if err != nil {
		return err
	}
	a.pages, err = link.Forward(ctx, net.JoinHostPort("127.0.0.1", port))
	return err
}

// pagesHere opens a window to the pages, where they are shown on the server only; nil elsewhere.
func (a *app) pagesHere(ctx context.Context, hello masu.Hello) (*window, error) {
	port, local := loopbackPort(hello.Pages)
	if a.server == nil || !local {
		return nil, nil
	}
	if err := a.reach(ctx, hello.Pages); err != nil {
		return nil, err
	}
	return openWindow(ctx, port, a.pages.Dial)
}

// window is a port of this machine's loopback that leads elsewhere. Browsers
// take every name below localhost there, so that one serves the pages and each
// workspace's own origin.
type window struct {
	listeners []net.Listener // of 127.0.0.1, and of ::1 where there is one
	port      string
	dial      func(context.Context) (net.Conn, error)
}

// openWindow takes the wanted port where it is free, and else another.
func openWindow(ctx context.Context, wanted string, dial func(context.Context) (net.Conn, error)) (*window, error) {
	for _, port := range []string{wanted, "0", "0", "0"} {
		if w, err := listenLocal(ctx, port); err == nil {
			w.dial = dial
			return w, nil
		}
	}
	return nil, masu.E(masu.Conflict, "no_local_port", wanted)
}

// listenLocal listens on both loopbacks: a browser asks ::1 first, where
// somebody else's server might answer.
func listenLocal(ctx context.Context, port string) (*window, error) {
	var c net.ListenConfig
	four, err := c.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	w := &window{listeners: []net.Listener{four}, port: strconv.Itoa(four.Addr().(*net.TCPAddr).Port)}
	six, err := c.Listen(ctx, "tcp6", net.JoinHostPort("::1", w.port))
	switch {
	case err == nil:
		w.listeners = append(w.listeners, six)
	case taken(err):
		return nil, errors.Join(err, four.Close())
	} // else there is no IPv6 here
	return w, nil
}

// here gives an address of the server's as it is reached through the window.
func (w *window) here(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Host = net.JoinHostPort(u.Hostname(), w.port)
	return u.String()
}

// serve passes connections on until ctx ends.
func (w *window) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range w.listeners {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		defer stop()
		g.Go(func() error {
			for {
				c, err := l.Accept()
				if err != nil {
					return ctx.Err()
				}
				g.Go(func() error { w.pass(ctx, c); return nil })
			}
		})
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// pass joins one connection to the far end.
func (w *window) pass(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := w.dial(ctx)
	if err != nil {
		return // the browser asks again
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { halfway(far, near) })
	both.Go(func() { halfway(near, far) })
	both.Wait()
}

// halfway copies one direction and passes its end on.
func halfway(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		return
	}
	_, _ = to.Close(), from.Close()
}

// keepPages holds the window to the pages open until Ctrl-C, and tells what becomes of it.
func (a *app) keepPages(ctx context.Context, w *window) error {
	a.note("window_open", "http://localhost:"+w.port, a.server.Host)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.serve(ctx) })
	g.Go(func() error { return a.pages.Run(ctx, a.tellForward) })
	return g.Wait()
}

func (a *app) tellForward(e remote.Event, err error) {
	switch e {
	case remote.Lost:
		a.note("forward_lost", a.server.Host)
	case remote.Back:
		a.note("forward_back", a.server.Host)
	case remote.Tried:
		message, _ := text.Error(a.lang, err)
		a.note("forward_tried", strings.TrimSpace(short(message)))
	}
}
