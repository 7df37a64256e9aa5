package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/masu-lab/masu"
)

// keptConns is how many connections wait for the next call, and idleConn how long.
const (
	keptConns = 8
	idleConn  = 30 * time.Second
)

// ClientOptions says who asks.
type ClientOptions struct {
	As masu.Username // the member that root acts for; "" means oneself
}

// Client is the masu.Service of a daemon at the other end of a connection. Many
// may use it at once. When a call's context ends, its connection closes, and
// with it the context of the call in the daemon.
type Client struct {
	dial  func(context.Context) (net.Conn, error)
	as    masu.Username
	http  *http.Client
	base  url.URL // where the routes are
	token string  // of a program that comes over the network

	mu    sync.Mutex
	spare net.Conn // made already, for the next call
}

var _ masu.Service = (*Client)(nil)

// Connect connects to a daemon's unix socket. Unreachable "no_daemon" means
// that none answers there, Denied "socket_denied" that the file may not be used.
func Connect(ctx context.Context, socket string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, lost(ctx, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, masu.E(masu.Denied, "socket_denied", socket).Because(err)
	case errors.Is(err, syscall.EAGAIN):
		return nil, masu.E(masu.Unreachable, "daemon_busy", socket).Because(err)
	}
	return nil, masu.E(masu.Unreachable, "no_daemon", socket).Because(err)
}

// Dial speaks to the daemon at a unix socket, if one answers there as Connect says.
func Dial(ctx context.Context, socket string, o ClientOptions) (*Client, error) {
	return DialBy(ctx, func(ctx context.Context) (net.Conn, error) { return Connect(ctx, socket) }, o)
}

// DialBy speaks to a daemon over connections that dial makes. The first is made
// now, to see whether somebody answers.
func DialBy(ctx context.Context, dial func(context.Context) (net.Conn, error), o ClientOptions) (*Client, error) {
	spare, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	c := NewClient(dial, o)
	c.spare = spare
	return c, nil
}

// NewClient speaks to a daemon over connections that dial makes.
func NewClient(dial func(context.Context) (net.Conn, error), o ClientOptions) *Client {
	c := &Client{dial: dial, as: o.As, base: url.URL{Scheme: "http", Host: "masu"}}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		MaxIdleConns:        keptConns,
		MaxIdleConnsPerHost: keptConns,
		IdleConnTimeout:     idleConn,
		DisableCompression:  true,
	}}
	return c
}

// Open speaks to the pages' address over the network, for a program that brings
// a token. What takes a connection over (Exec, Logs, Run, Dial) is not served
// there; such calls are NotFound "no_route".
func Open(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, masu.E(masu.Invalid, "address_wrong", address)
	}
	return &Client{
		base: url.URL{Scheme: u.Scheme, Host: u.Host, Path: APIPath}, token: token,
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, // a token goes nowhere else
	}, nil
}

// connect gives the spare connection, or a new one.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	if conn := c.takeSpare(); conn != nil {
		return conn, nil
	}
	if c.dial == nil {
		return nil, masu.E(masu.NotFound, "no_route", c.base.Host)
	}
	return c.dial(ctx)
}

func (c *Client) takeSpare() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.spare
	c.spare = nil
	return conn
}

// Close hangs up. Calls in progress and connections from Dial live on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if conn := c.takeSpare(); conn != nil {
		return conn.Close()
	}
	return nil
}

// request makes one; body nil means GET.
func (c *Client) request(ctx context.Context, path string, q url.Values, body any) (*http.Request, error) {
	u := c.base
	u.Path, u.RawQuery = u.Path+path, q.Encode()
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		method, content = http.MethodPost, bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, err
	}
	r.Header.Set(headerVersion, strconv.Itoa(wire))
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.as != "" {
		r.Header.Set(headerAs, string(c.as))
	}
	if body != nil {
		r.Header.Set("Content-Type", typeJSON)
	}
	return r, nil
}

// examine gives the error of an answer that is not the wanted one.
func examine(r *http.Response, want int) error {
	switch n, program := version(r.Header.Get(headerVersion)); {
	case n == 0:
		return masu.E(masu.Unreachable, "not_masu")
	case n != wire:
		return masu.E(masu.Conflict, "version_mismatch", program)
	case r.StatusCode != want:
		return decodeError(r.Body)
	}
	return nil
}

// ask sends a request and gives the answer, whose body the caller closes.
func (c *Client) ask(ctx context.Context, path string, q url.Values, body any) (*http.Response, error) {
	r, err := c.request(ctx, path, q, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, lost(ctx, err)
	}
	if err := examine(answer, http.StatusOK); err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// call asks for one value.
func call[T any](ctx context.Context, c *Client, path string, q url.Values, body any) (T, error) {
	var v T
	answer, err := c.ask(ctx, path, q, body)
	if err != nil {
		return v, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return v, lost(ctx, err)
	}
	return v, nil
}

// readLines hands each item of an answer in lines to item, and gives the result.
func readLines[T any](ctx context.Context, c *Client, path string, q url.Values, body any, item func(T) error) (json.RawMessage, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // an answer that is left early is cut off, not read to its end
	answer, err := c.ask(ctx, path, q, body)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	for d := json.NewDecoder(answer.Body); ; {
		var l line
		if err := d.Decode(&l); err != nil {
			return nil, lost(ctx, err)
		}
		switch {
		case l.Error != nil:
			return nil, l.Error.err()
		case l.Result != nil:
			return l.Result, nil
		}
		var v T
		if err := json.Unmarshal(l.Item, &v); err != nil {
			return nil, lost(ctx, err)
		}
		if err := item(v); err != nil {
			return nil, err
		}
	}
}

var errEnough = errors.New("api: the reader has enough")

func sequence[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		_, err := readLines(ctx, c, path, q, nil, func(v T) error {
			if !yield(v, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			var none T
			yield(none, err)
		}
	}
}

// carried refuses what JSON cannot carry: bytes that are no text, as in a folder
// whose name was written in an old encoding. Sent, they would name another one.
func carried(all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) {
			return masu.E(masu.Invalid, "not_utf8", strconv.Quote(s))
		}
	}
	return nil
}
