package api

import (
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

// TestSliceMetrics: what nobody knows of a slice is not told; least of all as nothing.
func TestSliceMetrics(t *testing.T) {
	var text metrics.Text
	metricGPUs(&text, masu.Board{GPUs: []masu.BoardGPU{
		{GPU: masu.GPU{ID: "MIG-a", Parent: "GPU-0", Model: "MIG 1g.10gb"}, Reading: &masu.Reading{GPU: "MIG-a", Busy: -1, Memory: masu.GiB, Temperature: -1, Power: -1}}}})
	got := text.String()
	if want := `masu_gpu_memory_bytes{gpu="0",uuid="MIG-a",model="MIG 1g.10gb"} 1.073741824e+09`; !strings.Contains(got, want+"\n") {
		t.Errorf("its memory is not told as %s:\n%s", want, got)
	}
	for _, name := range []string{"masu_gpu_busy", "masu_gpu_temperature_celsius", "masu_gpu_power_watts"} {
		if strings.Contains(got, "\n"+name+"{") {
			t.Errorf("%s is told:\n%s", name, got)
		}
	}
}
