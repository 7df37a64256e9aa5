package masu_test

import (
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestSumUsage: a row counts once in each way to add up, in every group of its member, and the months stand in their order.
func TestSumUsage(t *testing.T) {
	rows := []masu.UsageRow{
		{Month: "2026-11", Member: "alice", Project: "vision", Name: "thesis", Groups: []string{"b4", "club"}, Leases: 1, Lent: 3 * time.Hour},
		{Month: "2026-10", Member: "alice", Project: "vision", Name: "train", Groups: []string{"b4", "club"}, Leases: 2, Lent: time.Hour},
		{Month: "2026-11", Member: "bob", Project: "vision", Name: "train", Leases: 1, Lent: 2 * time.Hour},
		{Month: "2026-11", Member: "bob", Project: "bert", Name: "bert", Leases: 1, Lent: time.Hour},
	}
	for by, want := range map[string][]string{
		"name": {"alice/thesis 3", "bob/train 2", "alice/train 1", "bob/bert 1"}, "project": {"vision 6", "bert 1"}, "member": {"alice 4", "bob 3"},
		"group": {"b4 4", "club 4", "- 3"}, "month": {"2026-10 1", "2026-11 6"}, "all": {" 7"},
	} {
		if by != "all" && !slices.Contains(masu.UsageBy(), by) {
			t.Errorf("nobody can choose %s", by)
		}
		var got []string
		for _, r := range masu.SumUsage(rows, by) {
			got = append(got, r.Name+" "+string(rune('0'+int(r.Lent.Hours()))))
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s: %q, want %q", by, got, want)
		}
	}
}

func TestGPUWorkInWords(t *testing.T) {
	for joules, want := range map[float64]string{0: "0.0 Wh", 1800: "0.5 Wh", 3.5e6: "972.2 Wh", 3.6e6: "1.00 kWh", 9e7: "25.00 kWh"} {
		if got := masu.EnergyText(joules); got != want {
			t.Errorf("%v J: %s, want %s", joules, got, want)
		}
	}
	for w, want := range map[masu.GPUWork]int{{}: 0, {Read: time.Hour}: 0, {Read: time.Hour, Busy: 20 * time.Minute}: 33, {Read: time.Hour, Busy: 61 * time.Minute}: 100} {
		if got := w.Percent(); got != want {
			t.Errorf("%+v: %d%%, want %d%%", w, got, want)
		}
	}
}
