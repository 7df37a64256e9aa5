package remote

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// conn is the two pipes of an ssh as a connection.
type conn struct {
	cmd    *exec.Cmd
	in     *os.File // what the far end reads
	out    *os.File // what it writes
	ended  chan struct{}
	closed sync.Once
}

// attach starts a command whose input and output are a connection.
func attach(cmd *exec.Cmd) (*conn, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, err
	}
	c := &conn{cmd: cmd, in: in, out: out, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		_ = cmd.Wait() // how it ended is in its state
	}()
	return c, nil
}

func (c *conn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.in.Write(p) }

// CloseWrite ends what this end sends.
func (c *conn) CloseWrite() error { return c.in.Close() }

// Close ends the command; when it returns, that has ended.
func (c *conn) Close() error {
	c.closed.Do(func() {
		_, _ = c.in.Close(), c.out.Close()
		_ = c.cmd.Process.Kill() // an error means that it has ended
	})
	<-c.ended
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) LocalAddr() net.Addr  { return sshAddr{} }
func (c *conn) RemoteAddr() net.Addr { return sshAddr{} }

type sshAddr struct{}

func (sshAddr) Network() string { return "ssh" }
func (sshAddr) String() string  { return "ssh" }
