package web

import (
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestSliceOnThePage: of a slice its memory is shown, and that nobody knows how busy it is; never that it does nothing.
func TestSliceOnThePage(t *testing.T) {
	b := masu.Board{GPUs: []masu.BoardGPU{{GPU: masu.GPU{ID: "MIG-a", Parent: "GPU-0", Model: "NVIDIA H100 80GB HBM3 MIG 1g.10gb", Memory: 10 * masu.GiB},
		Reading: &masu.Reading{GPU: "MIG-a", Busy: -1, Memory: 5 * masu.GiB, Temperature: -1, Power: -1}}}}
	for lang, unknown := range map[masu.Lang]string{masu.English: "not known", masu.Japanese: "不明"} {
		v := newGPU(lang, b.GPUs[0], "alice", "")
		if v.Fill != 50 || !strings.Contains(v.Reading, unknown) || !strings.Contains(v.Reading, "5 GiB") || strings.Contains(v.Reading, "%") {
			t.Errorf("the board says %q, %d %%", v.Reading, v.Fill)
		}
		m := newMeters(lang, b, []masu.GPUID{"MIG-a"})
		if len(m) != 1 || m[0].Fill != 50 || !strings.Contains(m[0].Says, "5 GiB / 10 GiB") || strings.Contains(m[0].Says, "%") {
			t.Errorf("the bar says %+v", m)
		}
	}
}
