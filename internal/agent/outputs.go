package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

const (
	pathMost     = 4096
	settleWithin = 10 * time.Second
	againPause   = time.Second
)

// outputs is the program that keeps the outputs of cells whose page has gone.
// It runs as the member, from when the first notebook is opened: a box without
// one pays nothing.
type outputs struct {
	life context.Context // the box's
	run  func(func())    // a part of it
	turn chan struct{}   // holds one token: who asks has it until the answer is there

	mu   sync.Mutex
	sup  *supervisor // nil until the box is the member's
	conn net.Conn    // to the program; nil while it does not run
}

func newOutputs(life context.Context, run func(func())) *outputs {
	return &outputs{life: life, run: run, turn: make(chan struct{}, 1)}
}

func (o *outputs) received(sup *supervisor) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sup = sup
}

// post is for a notebook that is about to be opened: it answers when what was kept for it is there.
func (o *outputs) post(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Query().Get("path")
	if path == "" || len(path) > pathMost {
		http.Error(w, "which notebook?", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), settleWithin)
	defer cancel()
	if err := o.ask(ctx, path); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// program gives the connection to the program, which is started where it does not run.
func (o *outputs) program() (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil || o.life.Err() != nil {
		return o.conn, o.life.Err()
	}
	if o.sup == nil {
		return nil, errors.New("the box is not ready")
	}
	conn, ended, err := o.start()
	if err != nil {
		return nil, err
	}
	o.conn = conn
	o.run(func() { // it is started again if it dies: kernels go on talking
		status := <-ended
		o.mu.Lock()
		o.conn = nil
		o.mu.Unlock()
		_ = conn.Close()
		if o.life.Err() != nil {
			return
		}
		complain(describe("masu outputs", status))
		select {
		case <-o.life.Done():
		case <-time.After(againPause):
			_, _ = o.program() // or when it is asked again
		}
	})
	return conn, nil
}

// start starts the program. Its standard input is how it is asked, and where it answers.
func (o *outputs) start() (net.Conn, <-chan syscall.WaitStatus, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "outputs"), os.NewFile(uintptr(pair[1]), "outputs")
	defer ours.Close() // FileConn makes another of it
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, err
	}
	b := o.sup.box
	_, ended, err := o.sup.kids.start([]string{masu.AgentPath, "outputs", b.Work}, &syscall.ProcAttr{
		Dir: "/", Env: b.Env, Files: []uintptr{theirs.Fd(), os.Stderr.Fd(), os.Stderr.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: credential(b.User)},
	})
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, ended, nil
}

// ask asks, one after the other. An answer that nobody waits for any more is still awaited before the next question.
func (o *outputs) ask(ctx context.Context, path string) error {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() { // ends with the answer, or with the program
		defer func() { <-o.turn }()
		done <- o.converse(path)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *outputs) converse(path string) error {
	conn, err := o.program()
	if err != nil {
		return err
	}
	line, err := json.Marshal(path)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return err
	}
	_, err = bufio.NewReaderSize(conn, 16).ReadSlice('\n') // it says nothing else
	return err
}
