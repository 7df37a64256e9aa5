package text

import (
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunFacts: what was metered is told, and what was not is not told as nothing.
func TestRunFacts(t *testing.T) {
	began := time.Unix(1e9, 0)
	for _, c := range []struct {
		what string
		run  masu.Run
		want []Fact
	}{
		{"one that waits", masu.Run{Project: masu.Project{Dir: "/home/a/thesis"}, Limit: time.Hour}, []Fact{{"Folder", "/home/a/thesis"}, {"Time limit", "1h0m0s"}}},
		{"without GPUs", masu.Run{StartedAt: began, Used: masu.Use{CPU: time.Minute, Memory: masu.GiB}}, []Fact{{"CPU time", "1m0s"}, {"Memory, peak", "1 GiB"}}},
		{"with GPUs", masu.Run{StartedAt: began, GPUs: []masu.GPUID{"a", "b"}, GPUUsed: masu.GPUWork{Read: 2 * time.Hour, Busy: 90 * time.Minute, Energy: 1.8e6, Memory: 37 * masu.GiB}},
			[]Fact{{"GPUs", "2"}, {"GPU busy", "75%"}, {"GPU memory, peak", "37 GiB"}, {"GPU energy", "500.0 Wh"}}},
		{"not read", masu.Run{StartedAt: began, GPUs: []masu.GPUID{"a"}}, []Fact{{"GPUs", "1"}, {"GPU busy", "not metered"}, {"GPU memory, peak", "not metered"}, {"GPU energy", "not metered"}}},
		{"of a slice that tells its memory alone", masu.Run{StartedAt: began, GPUs: []masu.GPUID{"a"}, GPUUsed: masu.GPUWork{Memory: 5 * masu.GiB}},
			[]Fact{{"GPUs", "1"}, {"GPU busy", "not metered"}, {"GPU memory, peak", "5 GiB"}, {"GPU energy", "not metered"}}},
	} {
		if got := RunFacts(masu.English, c.run, time.Duration.String); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
