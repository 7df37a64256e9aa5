package masutest

import (
	"context"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// besides gives a box with a side box "db" that keeps in a volume whether it has been there before.
func (r *rig) besides() (masu.Box, string) {
	b := r.box()
	volume := "masu-suite-db-" + string(b.ID)
	b.Sides = []masu.Side{{Name: "db", Image: r.image,
		Command:   []string{"sh", "-c", "cat /data/kept; echo $SUITE_WORD; echo kept > /data/kept; echo well > /tmp/well; exec sleep 1000"},
		Health:    []string{"cat", "/tmp/well"},
		Variables: map[string]string{"SUITE_WORD": "spoken"},
		Mounts:    []masu.Mount{{Volume: volume, Target: "/data"}},
		Limits:    masu.Limits{Memory: 64 * masu.MiB}}}
	return b, volume
}

func (r *rig) sides(b masu.Box) []masu.SideStatus {
	s, _ := r.status(b.ID)
	return s.Sides
}

// printed gives what a side box has printed.
func (r *rig) printed(b masu.Box, side string) string {
	r.Helper()
	var log strings.Builder
	if err := r.rt.SideLogs(r.ctx, b.ID, side, &log, false); err != nil {
		r.Fatalf("SideLogs: %v", err)
	}
	return log.String()
}

// testSides: side boxes are there before their box, begin and end with it, keep
// their volumes, and are known by name to it alone.
func testSides(r *rig) {
	b, volume := r.besides()
	r.up(b)
	if s := r.sides(b); len(s) != 1 || s[0].Name != "db" || s[0].State != masu.SideReady {
		r.Errorf("beside a box that runs: %+v", s)
	}
	handle := r.mustStatus(b.ID, masu.BoxRunning).Handle
	if code, out := r.sh(b.ID, "getent hosts db"); code != 0 {
		r.Errorf("the box does not know its side box: %d %q", code, out)
	}
	other := r.box()
	r.up(other)
	if code, out := r.sh(other.ID, "getent hosts db"); code == 0 {
		r.Errorf("another box knows it too: %q", out)
	}
	if log := r.printed(b, "db"); !strings.Contains(log, "spoken\n") || strings.Contains(log, "kept\n") {
		r.Errorf("it printed %q", log)
	}
	r.want("SideLogs of none", r.rt.SideLogs(r.ctx, b.ID, "cache", newLineWriter(), false), masu.NotFound, "no_side")
	r.want("SideLogs of another's", r.rt.SideLogs(r.ctx, other.ID, "db", newLineWriter(), false), masu.NotFound, "no_side")

	if code, _ := r.sh(b.ID, "echo mine > /tmp/mine"); code != 0 {
		r.Fatal("the member cannot write")
	}
	r.start(b) // runs already
	if s := r.mustStatus(b.ID, masu.BoxRunning); s.Handle != handle {
		r.Error("starting what runs has replaced it")
	}
	if err := r.rt.Stop(r.ctx, b.ID, 0); err != nil {
		r.Fatal(err)
	}
	if s := r.sides(b); r.fleeting() { // no agent of ours is in a side box: where stopping is removing, nothing of it stays
		if len(s) > 0 {
			r.Errorf("beside a box that has ended there still is %+v", s)
		}
	} else {
		if len(s) != 1 || s[0].State != masu.SideEnded {
			r.Errorf("beside a box that has ended: %+v", s)
		}
		if log := r.printed(b, "db"); !strings.Contains(log, "spoken\n") {
			r.Errorf("after the end it is known to have printed %q", log)
		}
	}
	r.up(b)
	if s := r.mustStatus(b.ID, masu.BoxRunning); s.Handle != handle && !r.fleeting() {
		r.Error("a box with side boxes is not what it was after a stop")
	}
	if log := r.printed(b, "db"); !strings.HasPrefix(log, "kept\nspoken\n") {
		r.Errorf("with its volume it printed %q", log)
	}
	if code, _ := r.sh(b.ID, "getent hosts db"); code != 0 {
		r.Error("after a restart the box does not know its side box")
	}

	r.want("RemoveVolume under a side box", r.rt.RemoveVolume(r.ctx, volume), masu.Conflict, "volume_in_use")
	if err := r.rt.Remove(r.ctx, b.ID); err != nil {
		r.Fatal(err)
	}
	r.want("SideLogs after Remove", r.rt.SideLogs(r.ctx, b.ID, "db", newLineWriter(), false), masu.NotFound, "no_side")
	if names, err := r.rt.Volumes(r.ctx, b.ID); err != nil || !slices.Equal(names, []string{volume}) {
		r.Errorf("Volumes = %v, %v", names, err)
	}
	if err := r.rt.RemoveVolume(r.ctx, volume); err != nil {
		r.Error(err)
	}
	if names, err := r.rt.Volumes(r.ctx, b.ID); err != nil || len(names) > 0 {
		r.Errorf("Volumes of what is gone = %v, %v", names, err)
	}
}

// testSidesFail: a box does not start beside what does not; what fails later is started again.
func testSidesFail(r *rig) {
	b, volume := r.besides()
	r.Cleanup(func() { // after the box
		r.tidy("box", func(ctx context.Context) error { return r.rt.Remove(ctx, b.ID) })
		r.tidy("volume", func(ctx context.Context) error { return r.rt.RemoveVolume(ctx, volume) })
	})
	b.Sides[0].Command, b.Sides[0].Health = []string{"sh", "-c", "echo last-words; exit 3"}, nil
	err := r.rt.Start(r.ctx, b)
	r.want("Start beside what fails", err, masu.Conflict, "side_died")
	if err == nil || !strings.Contains(err.Error(), "last-words") {
		r.Errorf("it does not say what it said: %v", err)
	}
	if s, ok := r.status(b.ID); ok && s.State == masu.BoxRunning {
		r.Errorf("the box runs all the same: %+v", s)
	}
	b.Sides[0].Image = "masu-suite/none:latest"
	r.want("Start beside no image", r.rt.Start(r.ctx, b), masu.NotFound, "no_image")

	b.Sides[0].Image, b.Sides[0].Command = r.image, []string{"sh", "-c", "sleep 2; exit 3"}
	r.up(b)
	r.until("what failed is started again", func() bool { s := r.sides(b); return len(s) == 1 && s[0].Restarts > 0 })
}
