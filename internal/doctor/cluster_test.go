package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

// TestCluster: where a cluster runs the boxes, this host needs no engine and no
// driver, but still a place for the state.
func TestCluster(t *testing.T) {
	c := healthy(t)
	c.Socket = "unix://" + filepath.Join(t.TempDir(), "none")
	c.Cluster = func(context.Context) []masu.Finding { return one(masu.Good, "kube_ok", "v1.34.4", "https://api") }
	c.Disk = func(string) (Disk, error) {
		return Disk{Free: 1, Total: 500 * masu.GiB, NetworkedName: "NFS"}, nil
	}
	found := Examine(t.Context(), c)
	if found[0].Code != "kube_ok" {
		t.Errorf("the cluster does not come first: %+v", found[0])
	}
	if got := bad(t, found); !slices.Equal(got, []string{"fail space_out [/var/lib/masu 1 B]", "fail state_on_network [/var/lib/masu NFS]"}) {
		t.Errorf("%q", got)
	}
}
