package lab

import (
	"testing"

	"github.com/masu-lab/masu"
)

// TestLockGone: a build that fails because a version is not to be had says which, and any other failure says what it said.
func TestLockGone(t *testing.T) {
	for line, want := range map[string]string{
		"lock: apt libfoo1 1.2-3+b1 is not to be had":                           "lock_gone libfoo1 1.2-3+b1",
		"ERROR: No matching distribution found for held==1.0":                   "lock_gone held 1.0",
		"    The user requested (constraint) typing-extensions==4.1":            "lock_gone typing-extensions 4.1",
		"lock: pip held 1.0 is another file":                                    "lock_other_file held 1.0",
		"E: Unable to locate package nonsense, which has nothing to do with it": "build_failed",
	} {
		w := &lockWatch{tell: func(masu.Progress) {}}
		w.take(masu.Progress{Line: line})
		err := w.explain(masu.E(masu.Invalid, "build_failed"))
		got := masu.CodeOf(err)
		for _, a := range err.(*masu.Error).Args {
			if got != "build_failed" {
				got += " " + a
			}
		}
		if got != want {
			t.Errorf("%s: %q, not %q", line, got, want)
		}
	}
}
