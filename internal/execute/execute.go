// Package execute runs a notebook from its first cell to its last, where
// nobody looks, and stores every output as it comes. It runs inside a box, as
// the member, and brings a Jupyter server of the environment's own.
package execute

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kernel"
	"github.com/masu-lab/masu/internal/notebook"
)

// messageMost bounds one message of a kernel: one output, which the member's own memory must hold anyway.
const messageMost = 256 << 20

// How long a cell that was interrupted has until the notebook is closed over
// it: less than a box has to end.
const interruptPatience = time.Second

// Job says what is to be executed.
type Job struct {
	In, Out    string                                                 // files; Out is never In
	Parameters []string                                               // NAME=VALUE
	Say        func(code string, args ...any)                         // tells how it goes
	Print      io.Writer                                              // gets what cells print
	Server     func(ctx context.Context, dir string) (Jupyter, error) // starts one for a folder; nil means the environment's own

	out *printer
}

// Jupyter is a server that runs.
type Jupyter interface {
	Client() *kernel.Client
	Close() error
}

// Run executes the notebook. A cell that raises ends it: Invalid "cell_failed";
// when ctx ends, so does the cell that runs, and its error is returned.
// Whatever happens, Out holds what was there until then.
func (j Job) Run(ctx context.Context) error {
	j.out = &printer{to: j.Print}
	nb, err := j.read()
	if err != nil {
		return err
	}
	p := newPaper(nb, j.Out)
	if err := p.save(); err != nil { // it can be looked at from now on, and an Out that cannot be written is known before hours of work
		return masu.E(masu.Denied, "notebook_not_written", j.Out).Because(err)
	}
	start := j.Server
	if start == nil {
		start = startServer
	}
	server, err := start(ctx, filepath.Dir(j.In))
	if err != nil {
		return err
	}
	defer server.Close() // its end is the box's, at the latest
	client := server.Client()
	client.Most = messageMost
	name, err := j.kernel(ctx, client, nb)
	if err != nil {
		return err
	}
	s, err := client.Open(ctx, kernel.Document{Path: filepath.Base(j.In), Type: "notebook", Kernel: name})
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() == nil { // there may be no time for manners: what is left ends with the server
			s.Close(ctx)
		}
	}()
	stop := p.keep()
	err = j.cells(ctx, s, p)
	if kept := stop(); kept != nil && err == nil {
		err = masu.E(masu.Full, "notebook_not_written", j.Out).Because(kept)
	}
	return err
}

// read gives the notebook as it is before its first cell.
func (j Job) read() (*notebook.Notebook, error) {
	text, err := readFile(j.In)
	if err != nil {
		return nil, err
	}
	if same(j.In, j.Out) {
		return nil, masu.E(masu.Invalid, "notebook_same", j.In)
	}
	nb, err := notebook.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(j.Parameters) > 0 {
		code, err := notebook.Assignments(j.Parameters)
		if err != nil {
			return nil, err
		}
		if err := nb.Inject(code); err != nil {
			return nil, err
		}
	}
	for _, c := range nb.Cells {
		c.Clear()
	}
	return nb, nil
}

// kernel chooses the notebook's own, or where this environment has not that one, the default of the same language.
func (j Job) kernel(ctx context.Context, c *kernel.Client, nb *notebook.Notebook) (string, error) {
	has, err := c.Kernels(ctx)
	if err != nil {
		return "", err
	}
	name, language := nb.Kernel()
	if _, ok := has.Specs[name]; ok {
		return name, nil
	}
	ours, ok := has.Specs[has.Default]
	if !ok || language != "" && !strings.EqualFold(ours.Spec.Language, language) {
		return "", masu.E(masu.NotFound, "no_kernel", name)
	}
	if name != "" {
		j.Say("notebook_other_kernel", name, has.Default)
	}
	return has.Default, nil
}

// cells runs one after the other.
func (j Job) cells(ctx context.Context, s *kernel.Session, p *paper) error {
	var list []*notebook.Cell
	for _, c := range p.nb.Cells {
		if c.Runs() {
			list = append(list, c)
		}
	}
	for i, c := range list {
		j.out.endLine()
		j.Say("notebook_cell", i+1, len(list))
		failure, err := j.cell(ctx, s, p, c)
		if err != nil {
			return err
		}
		if failure != "" && !c.Has("raises-exception") {
			return masu.E(masu.Invalid, "cell_failed", failure)
		}
	}
	return ctx.Err()
}

// cell runs one cell, and gives what it raised.
func (j Job) cell(ctx context.Context, s *kernel.Session, p *paper, c *notebook.Cell) (failure string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		patience := time.AfterFunc(interruptPatience, cancel)
		if s.Interrupt(running) != nil {
			patience.Stop()
			cancel() // there is nothing left to interrupt
		}
	})()
	p.change(func(r *notebook.Recorder) { r.Begin(c, time.Now()) })
	reply, err := s.Execute(running, c.Source, func(m kernel.Message) { j.said(p, m) })
	if err != nil && ctx.Err() == nil {
		stopped(ctx) // a box that is stopped ends the server and us at once, and the server may be faster
	}
	p.change(func(r *notebook.Recorder) {
		switch {
		case ctx.Err() != nil && reply.Failure == "":
			r.Fail("Cancelled", "")
		case ctx.Err() == nil && err != nil:
			r.Fail("KernelDied", fmt.Sprint(err))
		}
		r.End(time.Now())
	})
	p.soon()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err == nil && !reply.Well && reply.Failure == "" {
		reply.Failure = "aborted"
	}
	return reply.Failure, err
}

func stopped(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(interruptPatience):
	}
}

// said writes down what a kernel says, and prints it.
func (j Job) said(p *paper, m kernel.Message) {
	var text string
	p.take(func(r *notebook.Recorder) (changed bool) {
		if m.Type == "execute_reply" {
			var reply struct {
				Count int `json:"execution_count"`
			}
			_ = json.Unmarshal(m.Content, &reply) // it has been read before
			r.Reply(reply.Count, time.Now())
			return true
		}
		text, changed = r.Take(m.Type, m.Content)
		return changed
	})
	j.out.print(text)
}

// printer passes on what cells print. A run must not die because nobody keeps the log.
type printer struct {
	to   io.Writer
	open bool // a line is
}

func (p *printer) print(text string) {
	if text != "" {
		_, _ = io.WriteString(p.to, text)
		p.open = !strings.HasSuffix(text, "\n")
	}
}

func (p *printer) endLine() {
	if p.open {
		p.print("\n")
	}
}
