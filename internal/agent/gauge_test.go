package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// testGauges are a box's whose nvidia-smi is a script.
func testGauges(t *testing.T, script string) *gauges {
	t.Helper()
	smi := filepath.Join(t.TempDir(), "nvidia-smi")
	if err := os.WriteFile(smi, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	g := newGauges(masu.User{UID: os.Geteuid(), Home: t.TempDir()}, newSupervisor(t, io.Discard).kids)
	g.smi = []string{"/none", smi}
	return g
}

// TestCards: the cards of a box tell how they do, by its own driver; what they
// do not tell, or a driver that fails, is not known.
func TestCards(t *testing.T) {
	for script, want := range map[string][]masu.Reading{
		`echo "37, 2048, 61, 250.5"; echo "[N/A], 10, [N/A], [Not Supported]"`: {{Busy: 0.37, Memory: 2 * masu.GiB, Temperature: 61, Power: 250.5}, {Busy: -1, Memory: 10 * masu.MiB, Temperature: -1, Power: -1}},
		`echo "NVIDIA-SMI has failed"`:                                         nil,
		`echo "1, 1, 1, 1"; exit 9`:                                            nil,
	} {
		t.Run(script, func(t *testing.T) {
			g := testGauges(t, script)
			w := call(handler(newState(), nil, &outputs{}, &apps{}, g), http.MethodGet, "/v1/gauge/cards", "")
			var got []masu.Reading
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%d %s, %v", w.Code, w.Body, err)
			}
			for i := range got {
				if time.Since(got[i].At) > time.Minute {
					t.Errorf("read at %v", got[i].At)
				}
				got[i].At = time.Time{}
			}
			if !slices.EqualFunc(got, want, func(a, b masu.Reading) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("%+v", got)
			}
		})
	}
	g := testGauges(t, "")
	g.smi = []string{"/none"}
	if got := g.readings(t.Context()); got != nil {
		t.Errorf("without a driver: %+v", got)
	}
}

// TestGaugeDisk: the home counts, and not what is mounted in it.
func TestGaugeDisk(t *testing.T) {
	g := testGauges(t, "")
	if err := os.WriteFile(filepath.Join(g.user.Home, "mine"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w := call(handler(newState(), nil, &outputs{}, &apps{}, g), http.MethodGet, "/v1/gauge/disk", "")
	var got masu.Bytes
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got < masu.MiB || got > 2*masu.MiB {
		t.Errorf("%s: %v, %v", w.Body, got, err)
	}
	file := filepath.Join(t.TempDir(), "mountinfo")
	if err := os.WriteFile(file, []byte("36 35 98:0 / /home/a/work rw - ext4 /dev/x rw\n37 35 98:0 / /home/a/my\\040data rw - ext4 /dev/x rw\nodd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mountPoints(file); !slices.Equal(got, []string{"/home/a/work", "/home/a/my data"}) {
		t.Errorf("mount points: %q", got)
	}
}

func FuzzCards(f *testing.F) {
	f.Add("37, 2048, 61, 250.5\n")
	f.Add("NaN, -1, 1e99, \n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range parseCards(text, time.Now()) {
			if r.Busy < -1 || r.Busy > 1e9 || r.Memory < -1 || r.Busy != r.Busy {
				t.Errorf("%+v", r)
			}
		}
	})
}
