package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// grace is what everything in the box has to end when the box is stopped. The
// engine is told to wait a little longer.
const grace = 8 * time.Second

// firstProcess is the life of a box.
func firstProcess(ctx context.Context) int {
	if os.Getpid() != 1 { // anywhere else it would end the wrong processes
		complain(errors.New("only the first process of a box may do this"))
		return exitUsage
	}
	spec, err := takeSpec()
	if err != nil {
		complain(err)
		return exitAgent
	}
	// The first process is spared signals that it does not handle, but Go
	// handles all; these would end it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGABRT)
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)

	f := first{spec: spec, kids: newChildren(), state: newState(), done: make(chan int, 1)}
	go f.kids.run(ended) // for as long as the box lives
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.begin(ctx); err != nil {
		complain(err)
		return exitAgent
	}
	code := 0
	select {
	case <-stopped:
	case code = <-f.done:
	case <-ctx.Done():
	}
	cancel() // first, so that nothing is started again
	f.end()
	return code
}

type first struct {
	spec  masu.AgentSpec
	kids  *children
	state *state
	done  chan int // the exit code of the command that the box is for
	wg    sync.WaitGroup

	outputs *outputs
	apps    *apps
}

// begin answers the daemon, receives the member and starts the apps, in this order.
func (f *first) begin(ctx context.Context) error {
	f.outputs, f.apps = newOutputs(ctx, f.wg.Go), newApps(ctx, f.wg.Go)
	if err := f.serve(ctx); err != nil {
		return err
	}
	b, err := receive(f.spec)
	if err != nil {
		return err
	}
	if err := b.store(runDir); err != nil {
		return fmt.Errorf("%s: %w", runDir, err)
	}
	f.state.change(func(s *state) { s.received, s.asked = true, startOf(f.spec.Apps) })
	sup := &supervisor{box: b, kids: f.kids, state: f.state, out: os.Stdout, patience: answersWithin}
	f.outputs.received(sup)
	if len(f.spec.Command) > 0 {
		f.wg.Go(func() { f.done <- sup.command(f.spec.Command) })
	}
	f.apps.received(sup, f.spec.Apps)
	f.wg.Go(func() { // nobody waits for it: a notebook needs longer to install something
		if err := (packages{root: "/"}).rememberBrought(); err != nil {
			complain(err)
		}
	})
	f.wg.Go(func() {
		newDevices("/dev").watch(ctx, f.state, func(lost bool) { fmt.Fprintln(os.Stdout, "masu:", wordsIn(f.spec.Lang).gpu(lost)) })
	})
	f.wg.Go(func() { watchPorts(ctx, f.state, f.spec) })
	f.wg.Go(func() {
		watchActivity(ctx, f.state, slices.ContainsFunc(f.spec.Apps, func(w masu.AppWish) bool { return w.Name == "jupyter" }))
	})
	return nil
}

// receive makes the box the member's.
func receive(spec masu.AgentSpec) (box, error) {
	self, err := readProcess(1)
	if err != nil {
		return box{}, err
	}
	i := image{root: "/", say: complain}
	env := i.variables(spec, os.Environ())
	if os.Geteuid() == 0 { // elsewhere `prepare` has made it
		i.account(spec)
		i.profile(env)
	}
	if err := i.home(spec); err != nil {
		return box{}, err
	}
	return box{Since: self.start, User: spec.User, Work: spec.Work, Shell: i.shell(), Env: env}, nil
}

// serve answers on the box's loopback, and in a folder of the host's where the
// daemon cannot enter the box's network.
func (f *first) serve(ctx context.Context) error {
	h := connecting(handler(f.state, newPasswords(f.state), f.outputs, f.apps, newGauges(f.spec.User, f.kids)))
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(masu.AgentPort)))
	if err != nil {
		return err
	}
	f.serveOn(ctx, l, h)
	if !f.spec.Socket {
		return nil
	}
	l, err = listenSocket(f.spec.User, masu.AgentSocket)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	f.serveOn(ctx, l, h)
	return nil
}

func (f *first) serveOn(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	f.wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			complain(err)
		}
	})
	context.AfterFunc(ctx, func() { _ = s.Close() })
}

// end asks all that runs in the box to end, waits, and ends what is left.
func (f *first) end() {
	_ = syscall.Kill(-1, syscall.SIGTERM) // everybody but this process
	for _, p := range processes() {
		if p.tty { // shells at a terminal ignore SIGTERM; theirs hangs up
			_ = syscall.Kill(p.pid, syscall.SIGHUP)
		}
	}
	if !alone(grace) {
		_ = syscall.Kill(-1, syscall.SIGKILL)
		alone(time.Second)
	}
}

// alone waits until nothing else runs in the box.
func alone(patience time.Duration) bool {
	until := time.Now().Add(patience)
	for len(processes()) > 0 {
		if time.Now().After(until) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}
