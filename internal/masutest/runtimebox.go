package masutest

import (
	"context"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/masu-lab/masu"
)

func testInfo(r *rig) {
	info, err := r.rt.Info(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	if info.Name == "" || info.Version == "" {
		r.Errorf("Info = %+v: it has no name or version", info)
	}
}

func testStart(r *rig) {
	b := r.box()
	b.Run = true
	b.Variables = map[string]string{"SUITE": "yes"}
	r.up(b)
	s := r.mustStatus(b.ID, masu.BoxRunning)
	if s.Owner != b.Owner.Name || s.Name != b.Name || !s.Run || s.Image != r.image {
		r.Errorf("the status %+v does not tell what was started: %+v", s, b)
	}
	if s.Handle == "" || s.Spec == "" || s.StartedAt.IsZero() {
		r.Errorf("the status %+v lacks a handle, a digest or a time", s)
	}
	if len(s.GPUs) != 0 {
		r.Errorf("a box without GPUs has %v", s.GPUs)
	}
	r.start(b)
	if again := r.mustStatus(b.ID, masu.BoxRunning); again.Handle != s.Handle || !again.StartedAt.Equal(s.StartedAt) {
		r.Errorf("a second Start of an equal box changed %+v to %+v", s, again)
	}
	if _, out := r.sh(b.ID, "echo $SUITE"); out != "yes\n" {
		r.Errorf("the member's variable is %q in the box", out)
	}
}

func testStartReplaces(r *rig) {
	b := r.box()
	r.up(b)
	before := r.mustStatus(b.ID, masu.BoxRunning)
	b.Variables = map[string]string{"SUITE": "new"}
	r.up(b)
	after := r.mustStatus(b.ID, masu.BoxRunning)
	if after.Spec == before.Spec || after.Handle == before.Handle {
		r.Errorf("another box with the same ID did not replace %+v: %+v", before, after)
	}
	if _, out := r.sh(b.ID, "echo $SUITE"); out != "new\n" {
		r.Errorf("the variable of the new box is %q", out)
	}
}

func testStartNoImage(r *rig) {
	b := r.box()
	b.Image = "sha256:" + strings.Repeat("0", 64)
	r.want("Start without its image", r.rt.Start(r.ctx, b), masu.NotFound, "no_image")
	if s, ok := r.status(b.ID); ok {
		r.Errorf("a start that failed left %+v", s)
	}
}

func testStop(r *rig) {
	b := r.box()
	r.up(b)
	running := r.mustStatus(b.ID, masu.BoxRunning)
	if code, _ := r.sh(b.ID, "echo kept > /tmp/kept"); code != 0 {
		r.Fatalf("writing ended with %d", code)
	}
	for range 2 { // the second time it is already so
		if err := r.rt.Stop(r.ctx, b.ID, time.Minute); err != nil {
			r.Fatalf("Stop: %v", err)
		}
		s := r.mustStatus(b.ID, masu.BoxExited)
		if s.EndedAt.IsZero() || s.ExitCode == 137 || s.OOM {
			r.Errorf("a box that was asked to end is %+v: it had to be killed, or does not say when it ended", s)
		}
	}
	r.up(b)
	if r.fleeting() {
		return
	}
	if s := r.mustStatus(b.ID, masu.BoxRunning); s.Handle != running.Handle {
		r.Errorf("an equal box was made anew: %+v, it was %+v", s, running)
	}
	if _, out := r.sh(b.ID, "cat /tmp/kept"); out != "kept\n" {
		r.Errorf("a stopped and started box has lost a file: %q", out)
	}
}

func testStopKills(r *rig) {
	b := r.box()
	r.up(b)
	if err := r.rt.Stop(r.ctx, b.ID, 0); err != nil {
		r.Fatal(err)
	}
	if s := r.mustStatus(b.ID, masu.BoxExited); s.EndedAt.IsZero() {
		r.Errorf("a box that was killed does not say when: %+v", s)
	}
}

func testRemove(r *rig) {
	b := r.box()
	r.up(b)
	for range 2 {
		if err := r.rt.Remove(r.ctx, b.ID); err != nil {
			r.Fatalf("Remove: %v", err)
		}
		if s, ok := r.status(b.ID); ok {
			r.Fatalf("the removed box is still %+v", s)
		}
	}
	if err := r.rt.Stop(r.ctx, b.ID, time.Second); err != nil {
		r.Errorf("Stop of a box that is gone: %v", err)
	}
}

// testChanges: a death is told, and Boxes then knows how it died.
func testChanges(r *rig) {
	b := r.box()
	b.Agent.Sudo = true
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	type change struct {
		id  masu.WorkspaceID
		err error
	}
	changes := make(chan change, 1024)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for id, err := range r.rt.Changes(ctx) {
			changes <- change{id, err}
		}
	}()
	// A change may be told more than once; what counts is that after the last
	// one the box is as it should be.
	await := func(what string, is func(s masu.BoxStatus, ok bool) bool) {
		r.Helper()
		for {
			select {
			case c := <-changes:
				if c.err != nil {
					r.Fatalf("Changes: %v", c.err)
				}
				if c.id != b.ID {
					continue
				}
				if s, ok := r.status(b.ID); is(s, ok) {
					return
				}
			case <-r.ctx.Done():
				r.Fatalf("waited in vain for the news that the box %s", what)
			}
		}
	}
	r.up(b)
	await("runs", func(s masu.BoxStatus, ok bool) bool { return ok && s.State == masu.BoxRunning })
	// PID 1 is asked from inside, so no call of the runtime's knows of it.
	if _, err := r.rt.Exec(r.ctx, b.ID, masu.Exec{Argv: []string{"sh", "-c", "kill -TERM 1"}, Root: true}); err != nil && masu.CodeOf(err) != "box_not_running" && masu.CodeOf(err) != "no_box" {
		r.Fatalf("kill: %v", err)
	}
	await("died", func(s masu.BoxStatus, ok bool) bool {
		return ok && s.State == masu.BoxExited && !s.EndedAt.IsZero()
	})
	if err := r.rt.Remove(r.ctx, b.ID); err != nil {
		r.Fatal(err)
	}
	await("is gone", func(_ masu.BoxStatus, ok bool) bool { return !ok })
	cancel()
	select {
	case <-ended:
	case <-r.ctx.Done():
		r.Fatal("Changes did not end with its context")
	}
	for len(changes) > 0 {
		if c := <-changes; c.err != nil {
			r.Errorf("the end of the context was told as an error: %v", c.err)
		}
	}
}

func testNoBox(r *rig) {
	id := newID()
	_, err := r.rt.Exec(r.ctx, id, masu.Exec{Argv: []string{"true"}})
	r.want("Exec", err, masu.NotFound, "no_box")
	r.want("Logs", r.rt.Logs(r.ctx, id, newLineWriter(), false), masu.NotFound, "no_box")
	_, err = r.rt.Dial(r.ctx, id, masu.AgentPort)
	r.want("Dial", err, masu.NotFound, "no_box")

	b := r.box()
	r.up(b)
	if err := r.rt.Stop(r.ctx, b.ID, time.Minute); err != nil {
		r.Fatal(err)
	}
	_, err = r.rt.Exec(r.ctx, b.ID, masu.Exec{Argv: []string{"true"}})
	r.want("Exec in a stopped box", err, masu.Conflict, "box_not_running")
	_, err = r.rt.Dial(r.ctx, b.ID, masu.AgentPort)
	r.want("Dial to a stopped box", err, masu.Conflict, "box_not_running")
}

// talker starts a box that prints first-words, and then what is said to it.
func (r *rig) talker() (b masu.Box, say func(line string)) {
	if fake, ok := r.rt.(interface {
		Print(id masu.WorkspaceID, text string)
	}); ok { // a fake has no apps of its own
		b = r.box()
		r.up(b)
		fake.Print(b.ID, "first-words\n")
		return b, func(line string) { fake.Print(b.ID, line+"\n") }
	}
	req := r.request("FROM " + string(r.base) + "\nCOPY tensorboard /usr/local/bin/\n")
	req.Files = fstest.MapFS{
		"Dockerfile":  req.Files.(fstest.MapFS)["Dockerfile"],
		"tensorboard": {Mode: 0o755, Data: []byte("#!/bin/sh\necho first-words\nmkfifo /tmp/say\nwhile :; do cat /tmp/say; done\n")},
	}
	id, err := r.rt.Build(r.ctx, req, nil)
	if err != nil {
		r.Fatal(err)
	}
	b = r.box() // after the image, which it keeps from being removed
	b.Image, b.Agent.Apps = id, masu.NamedApps("tensorboard")
	r.up(b)
	return b, func(line string) {
		r.Helper()
		r.until("the app listens", func() bool { code, _ := r.sh(b.ID, "test -p /tmp/say"); return code == 0 })
		if code, _ := r.sh(b.ID, "echo "+line+" > /tmp/say"); code != 0 {
			r.Fatalf("saying something to the app: %d", code)
		}
	}
}

func testLogs(r *rig) {
	b, say := r.talker()
	r.until("the log has them", func() bool {
		w := newLineWriter()
		if err := r.rt.Logs(r.ctx, b.ID, w, false); err != nil {
			r.Fatalf("Logs: %v", err)
		}
		close(w.lines)
		var all strings.Builder
		for s := range w.lines {
			all.WriteString(s)
		}
		return strings.Contains(all.String(), "first-words\n")
	})
	w, done := newLineWriter(), make(chan error, 1)
	go func() { done <- r.rt.Logs(r.ctx, b.ID, w, true) }()
	r.await(w, "first-words\n")
	say("last-words")
	r.await(w, "last-words\n")
	if err := r.rt.Stop(r.ctx, b.ID, time.Minute); err != nil {
		r.Fatal(err)
	}
	if err := <-done; err != nil || r.ctx.Err() != nil {
		r.Errorf("following the log of a box that ended: %v", err)
	}

	r.up(b)
	ctx, cancel := context.WithCancel(r.ctx)
	go func() { done <- r.rt.Logs(ctx, b.ID, w, true) }()
	if r.fleeting() {
		r.await(w, "first-words\n")
	} else {
		r.await(w, "last-words\n")
	}
	cancel()
	if err := <-done; err != nil {
		r.Errorf("a log that is no longer wanted: %v", err)
	}
}

func testDial(r *rig) {
	b := r.box()
	r.up(b)
	s, err := r.agent(b.ID)
	if err != nil {
		r.Fatalf("the agent: %v", err)
	}
	if len(s.Apps) != 0 {
		r.Errorf("a box without apps has %+v", s.Apps)
	}
	_, err = r.rt.Dial(r.ctx, b.ID, 9)
	r.want("Dial where nothing listens", err, masu.Unreachable, "port_silent")

	// After a restart the way in leads into the new box.
	if err := r.rt.Stop(r.ctx, b.ID, time.Minute); err != nil {
		r.Fatal(err)
	}
	r.up(b)
	if _, err := r.agent(b.ID); err != nil {
		r.Errorf("the agent after a restart: %v", err)
	}
}

func testVolume(r *rig) {
	b := r.box()
	volume := "masu-suite-" + string(b.ID)
	b.Mounts = []masu.Mount{{Volume: volume, Target: b.Agent.User.Home}}
	// After the box: a volume that is in use cannot go.
	remove := func(ctx context.Context) error { return r.rt.RemoveVolume(ctx, volume) }
	r.Cleanup(func() {
		r.tidy("box", func(ctx context.Context) error { return r.rt.Remove(ctx, b.ID) })
		r.tidy("volume", remove)
	})
	r.up(b)
	if code, _ := r.sh(b.ID, "echo mine > /home/suite/kept"); code != 0 {
		r.Fatalf("the member cannot write in the home: %d", code)
	}
	if m, ok := r.rt.(masu.Measurer); ok {
		if d, _, err := m.Disk(r.ctx, b.ID); masu.CodeOf(err) == "disk_unseen" && err != nil {
			r.Log(err) // a runtime that is not root does not see into volumes
		} else if err != nil || d < masu.Bytes(len("mine\n")) || d > 200*masu.MiB {
			r.Errorf("Disk = %v, %v", d, err)
		}
	}
	r.want("RemoveVolume under a box", remove(r.ctx), masu.Conflict, "volume_in_use")
	if err := r.rt.Remove(r.ctx, b.ID); err != nil {
		r.Fatal(err)
	}
	r.up(b)
	if _, out := r.sh(b.ID, "cat /home/suite/kept"); out != "mine\n" {
		r.Errorf("the home did not outlive its box: %q", out)
	}
	if err := r.rt.Remove(r.ctx, b.ID); err != nil {
		r.Fatal(err)
	}
	for range 2 {
		if err := remove(r.ctx); err != nil {
			r.Fatalf("RemoveVolume: %v", err)
		}
	}
	r.up(b)
	if code, out := r.sh(b.ID, "cat /home/suite/kept"); code == 0 {
		r.Errorf("the removed home is still there: %q", out)
	}
}

func testMeasure(r *rig) {
	m, ok := r.rt.(masu.Measurer)
	if !ok {
		r.Skip("the runtime does not measure")
	}
	b := r.box()
	r.up(b)
	for range 2 {
		l, err := m.Measure(r.ctx, b.ID)
		if err != nil {
			r.Fatal(err)
		}
		if l.Memory <= 0 || l.MemoryLimit != b.Limits.Memory || l.PIDs < 1 || l.CPU < 0 {
			r.Errorf("Load = %+v", l)
		}
		if u, err := m.Used(r.ctx, b.ID); err != nil || u.CPU <= 0 || u.Memory <= 0 || u.Memory > b.Limits.Memory {
			r.Errorf("Use = %+v, %v", u, err)
		}
	}
	if err := r.rt.Stop(r.ctx, b.ID, time.Second); err != nil {
		r.Fatal(err)
	}
	if d, _, err := m.Disk(r.ctx, b.ID); err == nil {
		r.Errorf("of a box that does not run: Disk = %v", d)
	}
	if u, err := m.Used(r.ctx, b.ID); err == nil {
		r.Errorf("of a box that does not run: Use = %+v", u)
	}
}

// testCommand: a box that is there for one command ends with it, and with its
// exit code; the command is the member's.
func testCommand(r *rig) {
	for _, c := range []struct {
		argv []string
		code int
		said string
	}{
		{[]string{"sh", "-c", "id -u; exit 7"}, 7, strconv.Itoa(r.box().Owner.UID) + "\n"},
		{[]string{"sh", "-c", "echo $SUITE_WORD"}, 0, "said\n"},
		{[]string{"no-such-command"}, 127, ""},
	} {
		b := r.box()
		b.Run, b.Agent.Apps, b.Agent.Command = true, nil, c.argv
		b.Agent.Env = map[string]string{"SUITE_WORD": "said"}
		r.start(b)
		r.until("the box has ended", func() bool { s, ok := r.status(b.ID); return ok && s.State == masu.BoxExited })
		var log strings.Builder
		if err := r.rt.Logs(r.ctx, b.ID, &log, false); err != nil {
			r.Fatal(err)
		}
		if s, _ := r.status(b.ID); s.ExitCode != c.code || c.said != "" && log.String() != c.said {
			r.Errorf("%q ended with %d, not %d, and said %q", c.argv, s.ExitCode, c.code, log.String())
		}
	}
}
