package masutest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// patience is how long the suite waits for what must happen sometime.
const patience = 2 * time.Minute

// Runtime is the suite that every masu.Runtime passes. open gives a runtime
// and the name of an image with a POSIX shell that is on it; the suite removes
// the boxes, volumes and images that it makes.
func Runtime(t *testing.T, open func(t *testing.T) (rt masu.Runtime, image string)) {
	tests := []struct {
		name string
		run  func(*rig)
	}{
		{"Info", testInfo},
		{"Start", testStart},
		{"StartReplaces", testStartReplaces},
		{"StartNoImage", testStartNoImage},
		{"StopAndStartAgain", testStop},
		{"StopKills", testStopKills},
		{"Remove", testRemove},
		{"Changes", testChanges},
		{"ExecExitCodes", testExecExitCodes},
		{"ExecStreams", testExecStreams},
		{"ExecMember", testExecMember},
		{"ExecTerminal", testExecTerminal},
		{"ExecEndsWithItsCaller", testExecCancel},
		{"Command", testCommand},
		{"NoBox", testNoBox},
		{"Logs", testLogs},
		{"Dial", testDial},
		{"Volume", testVolume},
		{"Haul", testHaul},
		{"Sides", testSides},
		{"SidesFail", testSidesFail},
		{"Measure", testMeasure},
		{"Build", testBuild},
		{"Extract", testExtract},
		{"BuildFails", testBuildFails},
		{"BuildNoBase", testBuildNoBase},
		{"BuildCancelled", testBuildCancelled},
		{"RemoveImage", testRemoveImage},
		{"Import", testImport},
		{"Carry", testCarry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rt, image := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			img, err := rt.Image(ctx, masu.ImageRef(image))
			if err != nil {
				t.Fatalf("Image(%q): %v", image, err)
			}
			test.run(&rig{T: t, ctx: ctx, rt: rt, base: masu.ImageRef(image), image: img.ID})
		})
	}
}

// rig is what one test of the suite has in hand.
type rig struct {
	*testing.T
	ctx   context.Context
	rt    masu.Runtime
	base  masu.ImageRef
	image string // its ID
}

func newID() masu.WorkspaceID {
	return masu.WorkspaceID(strings.ToLower(rand.Text()[:12]))
}

// box describes a box that is removed when the test ends.
func (r *rig) box() masu.Box {
	b := masu.Box{
		ID:    newID(),
		Name:  "suite",
		Owner: masu.User{Name: "suite", UID: 30997, GID: 30997, Home: "/home/suite"},
		Image: r.image,
		Limits: masu.Limits{
			Memory: 256 * masu.MiB,
		},
		Agent: masu.AgentSpec{
			User: masu.User{Name: "suite", UID: 30997, GID: 30997, Home: "/home/suite"},
			Work: "/home/suite/work",
			Lang: masu.English,
		},
	}
	r.Cleanup(func() { r.tidy("box", func(ctx context.Context) error { return r.rt.Remove(ctx, b.ID) }) })
	return b
}

func (r *rig) tidy(what string, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), patience)
	defer cancel()
	if err := f(ctx); err != nil {
		r.Errorf("remove %s: %v", what, err)
	}
}

func (r *rig) start(b masu.Box) {
	r.Helper()
	if err := r.rt.Start(r.ctx, b); err != nil {
		r.Fatalf("Start: %v", err)
	}
}

// fleeting tells whether a box that is stopped and started again is a new one.
func (r *rig) fleeting() bool {
	r.Helper()
	info, err := r.rt.Info(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	return info.Fleeting
}

// up starts a box and waits until its agent answers.
func (r *rig) up(b masu.Box) {
	r.Helper()
	r.start(b)
	r.until("the agent answers", func() bool {
		_, err := r.agent(b.ID)
		return err == nil
	})
}

// agent asks the box's agent for its status.
func (r *rig) agent(id masu.WorkspaceID) (s masu.AgentStatus, err error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return r.rt.Dial(ctx, id, masu.AgentPort)
	}}}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://box/v1/status", nil)
	if err != nil {
		return s, err
	}
	res, err := c.Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// until polls: what it waits for is seldom told by an event.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for !ok() {
		select {
		case <-r.ctx.Done():
			r.Fatalf("waited in vain until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// status finds a box in the runtime's list.
func (r *rig) status(id masu.WorkspaceID) (masu.BoxStatus, bool) {
	r.Helper()
	all, err := r.rt.Boxes(r.ctx)
	if err != nil {
		r.Fatalf("Boxes: %v", err)
	}
	i := slices.IndexFunc(all, func(s masu.BoxStatus) bool { return s.ID == id })
	one, err := r.rt.Box(r.ctx, id)
	if i < 0 {
		if err == nil || masu.CodeOf(err) != "no_box" || masu.KindOf(err) != masu.NotFound {
			r.Errorf("Box of a box that is not there: %+v, %v", one, err)
		}
		return masu.BoxStatus{}, false
	}
	if err != nil || one.ID != id || one.Handle != all[i].Handle {
		r.Errorf("Box tells %+v (%v), Boxes %+v", one, err, all[i])
	}
	return all[i], true
}

func (r *rig) mustStatus(id masu.WorkspaceID, state masu.BoxState) masu.BoxStatus {
	r.Helper()
	s, ok := r.status(id)
	if !ok || s.State != state {
		r.Fatalf("the box is %+v, want it %s", s, state)
	}
	return s
}

// exec runs a command as e says and returns what it printed.
func (r *rig) exec(id masu.WorkspaceID, e masu.Exec) (code int, stdout, stderr string) {
	r.Helper()
	var out, errOut bytes.Buffer
	e.Stdout, e.Stderr = &out, &errOut
	code, err := r.rt.Exec(r.ctx, id, e)
	if err != nil {
		r.Fatalf("Exec(%q): %v", e.Argv, err)
	}
	return code, out.String(), errOut.String()
}

// sh runs a script as the member.
func (r *rig) sh(id masu.WorkspaceID, script string) (int, string) {
	r.Helper()
	code, out, _ := r.exec(id, masu.Exec{Argv: []string{"sh", "-c", script}})
	return code, out
}

// want fails the test unless err is of that kind and code.
func (r *rig) want(what string, err error, kind masu.Kind, code string) {
	r.Helper()
	if masu.KindOf(err) != kind || masu.CodeOf(err) != code {
		r.Errorf("%s: %v, want %s %q", what, err, kind, code)
	}
}

// removeImage removes an image when the test ends.
func (r *rig) removeImage(ref masu.ImageRef) {
	r.Cleanup(func() { r.tidy("image", func(ctx context.Context) error { return r.rt.RemoveImage(ctx, ref) }) })
}

// newRef names an image that is removed when the test ends.
func (r *rig) newRef() masu.ImageRef {
	ref := masu.ImageRef("masu-suite/" + string(newID()) + ":latest")
	r.removeImage(ref)
	return ref
}

// lineWriter collects output and tells of each write.
type lineWriter struct {
	lines chan string
}

func newLineWriter() *lineWriter { return &lineWriter{lines: make(chan string, 1024)} }

func (w *lineWriter) Write(p []byte) (int, error) {
	w.lines <- string(p)
	return len(p), nil
}

// await reads until want has been written.
func (r *rig) await(w *lineWriter, want string) {
	r.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), want) {
		select {
		case s := <-w.lines:
			all.WriteString(s)
		case <-r.ctx.Done():
			r.Fatalf("waited in vain for %q in %q", want, all.String())
		}
	}
}

var _ io.Writer = (*lineWriter)(nil)
