package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/project"
)

// beside is a project with a side box that keeps something and runs until it is ended.
func beside(command ...string) masu.Project {
	return masu.Project{Sides: []masu.SideBox{{Name: "db", Image: "debian:trixie-slim", Command: command,
		Volumes: []masu.SideVolume{{Name: "data", Target: "/data"}}}}}
}

// eventually waits until the workspace is as it should be.
func eventually(t *testing.T, s masu.Service, name, what string, ok func(masu.Workspace) bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		w, err := s.Workspace(t.Context(), name)
		if err == nil && ok(w) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v, %v", what, w.Sides, err)
		}
	}
}

// TestSides: what runs beside a workspace is told of, also by the next daemon;
// it ends with the workspace, and what it kept goes with it.
func TestSides(t *testing.T) {
	w := newWorld(t)
	w.project = func(string) masu.Project { return beside("sh", "-c", "echo words; sleep 1000") }
	l, stop := w.daemon()
	s := l.As(actor("alice"))
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "work"}); err != nil {
		t.Fatal(err)
	}
	ws := settled(t, s, "work")
	if ws.Phase != masu.Running {
		t.Fatalf("%s: %+v", ws.Phase, ws.Trouble)
	}
	ready := func(w masu.Workspace) bool {
		return len(w.Sides) == 1 && w.Sides[0].Name == "db" && w.Sides[0].State == masu.SideReady
	}
	eventually(t, s, "work", "it is ready", ready)
	if b, err := w.runtime.Box(t.Context(), ws.ID); err != nil || len(b.Sides) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	var log strings.Builder
	if err := s.SideLogs(t.Context(), "work", "db", &log, false); err != nil || log.String() != "words\n" {
		t.Errorf("it printed %q, %v", log.String(), err)
	}
	stop()
	w.runtime.EndSide(ws.ID, "db", 3)
	l, stop = w.daemon()
	defer stop()
	s = l.As(actor("alice"))
	eventually(t, s, "work", "the next daemon sees that it has ended", func(w masu.Workspace) bool {
		return w.Phase == masu.Running && len(w.Sides) == 1 && w.Sides[0].State == masu.SideEnded && w.Sides[0].ExitCode == 3
	})
	if got, err := s.Stop(t.Context(), "work"); err != nil || len(got.Sides) > 0 {
		t.Errorf("stopped: %+v, %v", got.Sides, err)
	}
	if _, err := s.Up(t.Context(), masu.UpRequest{Name: "work"}); err != nil {
		t.Fatal(err)
	}
	settled(t, s, "work")
	eventually(t, s, "work", "it is there again", ready)
	if names, err := w.runtime.Volumes(t.Context(), ws.ID); err != nil || len(names) != 2 {
		t.Errorf("its volumes: %v, %v", names, err)
	}
	if err := s.Remove(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	if names, err := w.runtime.Volumes(t.Context(), ws.ID); err != nil || len(names) != 0 {
		t.Errorf("volumes of what is gone: %v, %v", names, err)
	}
}

func TestSidesThatFail(t *testing.T) {
	w := newWorld(t)
	w.project = func(string) masu.Project { return beside("sh", "-c", "echo no password is set; exit 1") }
	l, stop := w.daemon()
	defer stop()
	s := l.As(actor("alice"))
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "work"}); err != nil {
		t.Fatal(err)
	}
	ws := settled(t, s, "work")
	if ws.Phase != masu.Failed || ws.Trouble.Code != "side_died" || ws.Trouble.Args[0] != "db" || !strings.Contains(ws.Trouble.Args[2], "no password") {
		t.Errorf("%s: %+v", ws.Phase, ws.Trouble)
	}
}

// TestSidesOfOwnDockerfiles: where members bring no Dockerfile, their services do not either.
func TestSidesOfOwnDockerfiles(t *testing.T) {
	w := newWorld(t)
	w.policy = func(p *Policy) { p.OwnDockerfile = false }
	w.project = func(string) masu.Project {
		p := beside()
		p.Sides[0].Image, p.Sides[0].Build = "", &masu.Environment{Dockerfile: "db/Dockerfile", Context: "db"}
		return p
	}
	l, stop := w.daemon()
	defer stop()
	_, err := l.As(actor("alice")).Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "work"})
	if masu.CodeOf(err) != "dockerfile_forbidden" {
		t.Errorf("a service's Dockerfile: %v", err)
	}
}

// TestCompose: a workspace that a compose file began is read from it again, with what its member is called.
func TestCompose(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	l.cfg.Compose, l.cfg.Context = project.Compose, project.Context
	s, dir := l.As(actor("alice")), t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "compose.yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "db"), 0o755), os.WriteFile(filepath.Join(dir, "db", "Dockerfile"), []byte("FROM debian:trixie-slim\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	write("services: {lab: {image: debian:trixie-slim, ports: [8888], environment: {WHO: \"${USER_NAME}-${UID}\"}}, db: {build: ./db, command: [sleep, '1000']}}\n")
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: dir, Compose: "compose.yml", Name: "work"}); err != nil {
		t.Fatal(err)
	}
	ws := settled(t, s, "work")
	if ws.Phase != masu.Running || ws.Project.Variables["WHO"] != "alice-30001" || len(ws.Project.Sides) != 1 {
		t.Fatalf("%s %+v %+v", ws.Phase, ws.Trouble, ws.Project)
	}
	if _, err := s.Stop(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	write("services: {lab: {image: debian:trixie-slim, privileged: true}}\n")
	for _, again := range []masu.UpRequest{{Name: "work"}, {Dir: dir}} {
		if _, err := s.Up(t.Context(), again); masu.CodeOf(err) != "compose_refused" {
			t.Errorf("up again with %+v: %v", again, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "masu.yaml"), []byte("preset: python\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Up(t.Context(), masu.UpRequest{Dir: dir}); err != nil || got.ID != ws.ID || got.Project.Compose != "" {
		t.Errorf("up with a masu.yaml: %+v, %v", got.Project, err)
	}
}

// TestSidesTogether: the side boxes of a workspace get in all what one box may have.
func TestSidesTogether(t *testing.T) {
	ask := func(cpus float64, memory masu.Bytes) masu.SideBox {
		return masu.SideBox{Limits: masu.Limits{CPUs: cpus, Memory: memory}}
	}
	for _, c := range []struct {
		what    string
		ceiling masu.Limits
		sides   []masu.SideBox
		want    []masu.Limits
	}{
		{"no house rules", masu.Limits{}, []masu.SideBox{ask(0, 8*masu.GiB), ask(3, 0)},
			[]masu.Limits{{Memory: 8 * masu.GiB}, {CPUs: 3, Memory: 4 * masu.GiB}}},
		{"they fit", masu.Limits{CPUs: 4, Memory: 8 * masu.GiB}, []masu.SideBox{ask(1, 2*masu.GiB), ask(2, masu.GiB)},
			[]masu.Limits{{CPUs: 1, Memory: 2 * masu.GiB}, {CPUs: 2, Memory: masu.GiB}}},
		{"one alone", masu.Limits{CPUs: 4, Memory: 2 * masu.GiB}, []masu.SideBox{ask(8, 4*masu.GiB)},
			[]masu.Limits{{CPUs: 4, Memory: 2 * masu.GiB}}},
		{"in all too much", masu.Limits{CPUs: 4, Memory: 9 * masu.GiB}, []masu.SideBox{ask(0, 8*masu.GiB), ask(0, 0)},
			[]masu.Limits{{CPUs: 2, Memory: 6 * masu.GiB}, {CPUs: 2, Memory: 3 * masu.GiB}}},
	} {
		w := newWorld(t)
		w.policy = func(p *Policy) { p.Limits = c.ceiling }
		l, stop := w.daemon()
		for i, s := range l.sides("w", "alice", masu.Project{Sides: c.sides}, nil) {
			if s.Limits != c.want[i] {
				t.Errorf("%s: side box %d has %+v, not %+v", c.what, i, s.Limits, c.want[i])
			}
		}
		stop()
	}
}
