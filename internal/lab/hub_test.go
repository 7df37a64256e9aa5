package lab

import (
	"testing"

	"github.com/masu-lab/masu"
)

// TestHubWakesWhomItConcerns: of hundreds of open pages, a change wakes its owner's and its guests' only.
func TestHubWakesWhomItConcerns(t *testing.T) {
	w := func(owner masu.Username, id string, guests ...masu.Username) masu.Workspace {
		return masu.Workspace{ID: masu.WorkspaceID(id), Owner: owner, Phase: masu.Running, Guests: guests}
	}
	h := newHub(masu.Workspace.ShownTo)
	alice, bob, late := h.join("alice"), h.join("bob"), h.join("bob")
	h.begin(alice, nil)
	h.begin(bob, []masu.Workspace{w("alice", "shared", "bob")})
	for _, step := range []struct {
		what       string
		send       masu.Workspace
		alice, bob masu.Phase // of what each is told; "gone", or "" for nothing
	}{
		{"her own", w("alice", "a"), masu.Running, ""},
		{"open to him", w("alice", "shared", "bob"), masu.Running, masu.Running},
		{"opened now", w("alice", "a", "bob"), masu.Running, masu.Running},
		{"shut again", w("alice", "a"), masu.Running, "gone"},
		{"shut for good", w("alice", "a"), masu.Running, ""},
		{"removed", masu.Workspace{ID: "shared", Owner: "alice"}, "gone", "gone"},
	} {
		h.send(step.send)
		for r, want := range map[*watcher]masu.Phase{alice: step.alice, bob: step.bob} {
			woken := len(r.wake) > 0
			if woken {
				<-r.wake
			}
			got := masu.Phase("")
			for _, w := range h.take(r) {
				if got = w.Phase; got == "" {
					got = "gone"
				}
			}
			if got != want || woken != (want != "") {
				t.Errorf("%s: %s is woken %v and told %q, want %q", step.what, r.of, woken, got, want)
			}
		}
	}
	// What ends between a watcher's joining and its first reading is told if it was read, and else is nobody's business.
	h.begin(late, []masu.Workspace{w("alice", "shared", "bob")})
	if got := h.take(late); len(got) != 1 || got[0].ID != "shared" || got[0].Phase != "" {
		t.Errorf("the late one is told %v", got)
	}
}
