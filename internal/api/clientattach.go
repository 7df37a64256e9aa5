package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/masu-lab/masu"
)

// Exec is masu.Service's. A Read of e.Stdin may still be waiting when it returns.
func (c *Client) Exec(ctx context.Context, name string, e masu.Exec) (int, error) {
	return c.command(ctx, "/v1/exec", execRequest{name, specOf(e)}, e, nil)
}

// Run is masu.Service's. A Read of r.Exec.Stdin may still be waiting when it returns.
func (c *Client) Run(ctx context.Context, r masu.RunRequest, progress func(masu.Progress)) (int, error) {
	if err := carried(r.Dir, r.Name); err != nil {
		return -1, err
	}
	return c.command(ctx, "/v1/run", runRequest{r, specOf(r.Exec)}, r.Exec, progress)
}

// Logs is masu.Service's.
func (c *Client) Logs(ctx context.Context, name string, w io.Writer, follow bool) error {
	return c.printed(ctx, "/v1/logs", url.Values{"name": {name}, "follow": {strconv.FormatBool(follow)}}, w)
}

// SideLogs is masu.Service's.
func (c *Client) SideLogs(ctx context.Context, name, side string, w io.Writer, follow bool) error {
	return c.printed(ctx, "/v1/logs/service", url.Values{"name": {name}, "service": {side}, "follow": {strconv.FormatBool(follow)}}, w)
}

// RunLog is masu.Service's.
func (c *Client) RunLog(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	return c.printed(ctx, "/v1/runs/log", url.Values{"id": {string(id)}, "follow": {strconv.FormatBool(follow)}}, w)
}

// RunNotebook is masu.Service's.
func (c *Client) RunNotebook(ctx context.Context, id masu.WorkspaceID, w io.Writer) error {
	return c.printed(ctx, "/v1/runs/notebook", url.Values{"id": {string(id)}}, w)
}

func (c *Client) printed(ctx context.Context, path string, q url.Values, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := c.ask(ctx, path, q, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = transmit(ctx, bufio.NewReader(answer.Body), masu.Exec{Stdout: w}, nil)
	return err
}

// Dial is masu.Service's. ctx bounds the connecting only.
func (c *Client) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	conn, err := c.takeOver(ctx, "/v1/dial", protocolBytes, dialRequest{name, port})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// takeOver asks for the connection itself. When ctx ends in between, it closes.
func (c *Client) takeOver(ctx context.Context, path, protocol string, body any) (_ *tunnel, err error) {
	r, err := c.request(ctx, path, nil, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocol)
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, lost(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = lost(ctx, ctx.Err())
		}
		if err != nil {
			_ = conn.Close()
		}
	}()
	if err := r.Write(conn); err != nil {
		return nil, lost(ctx, err)
	}
	in := bufio.NewReaderSize(conn, frameChunk)
	answer, err := http.ReadResponse(in, r)
	if err != nil {
		return nil, lost(ctx, err)
	}
	if err := examine(answer, http.StatusSwitchingProtocols); err != nil {
		return nil, err
	}
	return &tunnel{conn, in}, nil
}

// command runs one at the other end, its streams carried as frames.
func (c *Client) command(ctx context.Context, path string, body any, e masu.Exec, progress func(masu.Progress)) (int, error) {
	if err := carried(append(append([]string{e.Dir}, e.Argv...), e.Env...)...); err != nil {
		return -1, err
	}
	conn, err := c.takeOver(ctx, path, protocolFrames, body)
	if err != nil {
		return -1, err
	}
	var resizing sync.WaitGroup
	defer resizing.Wait()
	done := make(chan struct{})
	defer close(done)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	out := &frameWriter{w: conn}
	if e.Stdin != nil {
		go func() { // nobody can end a Read that waits; its bytes have nowhere to go then
			_, _ = io.Copy(stream{out, frameStdin}, struct{ io.Reader }{e.Stdin})
			_ = out.write(frameStdinEnd, nil)
		}()
	}
	if e.Resize != nil {
		resizing.Go(func() { resizes(out, e.Resize, done) })
	}
	return transmit(ctx, conn.in, e, progress)
}

func resizes(out *frameWriter, sizes <-chan masu.WinSize, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s, ok := <-sizes:
			if !ok || out.resize(s) != nil {
				return
			}
		}
	}
}

// transmit hands on what comes from the other end until the last frame.
func transmit(ctx context.Context, in io.Reader, e masu.Exec, progress func(masu.Progress)) (int, error) {
	var buf []byte
	for {
		t, payload, grown, err := readFrame(in, buf)
		if err != nil {
			return -1, lost(ctx, err)
		}
		buf = grown
		switch t {
		case frameStdout:
			err = passOn(e.Stdout, payload)
		case frameStderr:
			err = passOn(e.Stderr, payload)
		case frameProgress:
			err = tell(progress, payload)
		case frameExit:
			return exitCode(payload)
		case frameError:
			var w wireError
			if err := json.Unmarshal(payload, &w); err != nil {
				return -1, lost(ctx, err)
			}
			return -1, w.err()
		case framePing:
		default:
			err = fmt.Errorf("%w: type %d from the daemon", errFrame, t)
		}
		if err != nil {
			return -1, err
		}
	}
}

func passOn(w io.Writer, p []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}

func tell(progress func(masu.Progress), payload []byte) error {
	var p masu.Progress
	if err := json.Unmarshal(payload, &p); err != nil || progress == nil {
		return err
	}
	progress(p)
	return nil
}
