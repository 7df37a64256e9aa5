package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/masu-lab/masu"
)

// dialPatience is far more than a connection through the API server takes.
const dialPatience = 10 * time.Second

// forwards are the connections to pods that stand: one for each, which carries
// as many streams as are wanted. The API server's proxy to pods is never used:
// it drops the query of a WebSocket's handshake, and kernels then refuse it.
type forwards struct {
	mu   sync.Mutex
	open map[string]*forwarding
}

// forwarding is the connection to one pod.
type forwarding struct {
	once sync.Once
	conn httpstream.Connection
	err  error
	mu   sync.Mutex
	next int // number of the next pair of streams
}

// Dial connects to a port on the box's own loopback, through the agent, which
// says whether anybody listens there: a forwarded port alone does not.
// NotFound "no_box", Conflict "box_not_running", Unreachable "port_silent".
func (r *Runtime) Dial(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	pod := podName(id)
	var last error
	for range 2 { // what stands may lead to a box that has been started anew since
		f := r.forward.get(pod)
		f.once.Do(func() { f.conn, f.err = r.openForward(context.WithoutCancel(ctx), id) })
		if f.err != nil {
			r.forward.drop(pod, f)
			return nil, r.failed("forward", f.err)
		}
		conn, err := f.dial(ctx, port)
		switch {
		case err == nil || masu.CodeOf(err) == "port_silent":
			return conn, err
		case ctx.Err() != nil:
			return nil, r.failed("forward", context.Cause(ctx))
		}
		last = err
		r.forward.drop(pod, f)
	}
	if _, err := r.live(ctx, id); err != nil {
		return nil, err
	}
	return nil, masu.E(masu.Unreachable, "port_silent", port).Because(last)
}

func (f *forwards) get(pod string) *forwarding {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[pod] == nil {
		f.open[pod] = &forwarding{}
	}
	return f.open[pod]
}

// drop ends a connection to a pod, and what goes over it; nil means whichever stands.
func (f *forwards) drop(pod string, old *forwarding) {
	f.mu.Lock()
	if now := f.open[pod]; old == nil || now == old {
		old = now
		delete(f.open, pod)
	}
	f.mu.Unlock()
	if old == nil {
		return
	}
	old.once.Do(func() { old.err = net.ErrClosed })
	if old.conn != nil {
		_ = old.conn.Close()
	}
}

func (f *forwards) close() {
	f.mu.Lock()
	pods := slices.Collect(maps.Keys(f.open))
	f.mu.Unlock()
	for _, pod := range pods {
		f.drop(pod, nil)
	}
}

func (r *Runtime) openForward(ctx context.Context, id masu.WorkspaceID) (httpstream.Connection, error) {
	if _, err := r.live(ctx, id); err != nil {
		return nil, err
	}
	url := r.core.Post().Namespace(r.cfg.Namespace).Resource("pods").Name(podName(id)).SubResource("portforward").URL()
	ws, err := portforward.NewSPDYOverWebsocketDialer(url, r.rest)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(r.rest)
	if err != nil {
		return nil, err
	}
	d := portforward.NewFallbackDialer(ws, spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url), func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	conn, _, err := d.Dial(portforward.PortForwardProtocolV1Name)
	return conn, err
}

// dial opens a pair of streams to the agent and has it connect to the port.
func (f *forwarding) dial(ctx context.Context, port int) (net.Conn, error) {
	data, trouble, err := f.streams()
	if err != nil {
		return nil, err
	}
	release := func() {
		_ = data.Reset()
		_ = trouble.Reset()
		f.conn.RemoveStreams(data, trouble)
	}
	stop := context.AfterFunc(ctx, func() { _ = data.Reset() })
	in := bufio.NewReader(data)
	err = askAgent(data, in, port)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		release()
		return nil, err
	}
	near, far, err := socketPair()
	if err != nil {
		release()
		return nil, err
	}
	go carry(far, data, in, release)
	return near, nil
}

// streams opens what port forwarding wants for each connection: one stream for the bytes, and one for what goes wrong.
func (f *forwarding) streams() (data, trouble httpstream.Stream, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := http.Header{}
	h.Set(corev1.PortHeader, strconv.Itoa(masu.AgentPort))
	h.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(f.next))
	f.next++
	h.Set(corev1.StreamType, corev1.StreamTypeError)
	if trouble, err = f.conn.CreateStream(h); err != nil {
		return nil, nil, err
	}
	_ = trouble.Close() // nothing is written to it
	h.Set(corev1.StreamType, corev1.StreamTypeData)
	if data, err = f.conn.CreateStream(h); err != nil {
		f.conn.RemoveStreams(trouble)
		return nil, nil, err
	}
	return data, trouble, nil
}

func askAgent(w io.Writer, in *bufio.Reader, port int) error {
	if _, err := fmt.Fprintf(w, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port, port); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return masu.E(masu.Unreachable, "port_silent", port)
	}
	return nil
}

// socketPair gives both ends of a connection inside this process: streams know no deadlines, sockets do.
func socketPair() (near, far *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "box")
		c, openErr := net.FileConn(f)
		err = errors.Join(err, openErr, f.Close())
		if openErr == nil {
			ends[i] = c.(*net.UnixConn) // what the kernel was asked for
		}
	}
	if err != nil {
		for _, c := range ends {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}

// carry moves bytes both ways until both sides have said all.
func carry(far *net.UnixConn, data httpstream.Stream, in io.Reader, release func()) {
	defer release()
	defer far.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(data, far)
		_ = data.Close()
	})
	_, _ = io.Copy(far, in)
	_ = far.CloseWrite()
	wg.Wait()
}
