package doctor

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// TestDevices: what can be lent by CDI, what the engine cannot give, and what cannot be read.
func TestDevices(t *testing.T) {
	gpus := []masu.GPU{{ID: "intel.com/gpu=0"}, {ID: "amd.com/gpu=0"}, {ID: "amd.com/gpu=1"}}
	broken := masu.Finding{Code: "cdi_spec_wrong", Severity: masu.Warn, Args: []string{"/etc/cdi/x.yaml", "kind: \"\""}}
	for name, c := range map[string]struct {
		engine map[string]any
		gpus   []masu.GPU
		wrong  []masu.Finding
		want   []string
		codes  []string
	}{
		"none":    {info(nil), nil, nil, nil, nil},
		"lent":    {info(nil), gpus, nil, nil, []string{"cdi_devices"}},
		"no CDI":  {info(map[string]any{"CDISpecDirs": nil}), gpus, nil, []string{"warn cdi_not_given [3 amd.com/gpu, intel.com/gpu]"}, []string{"cdi_not_given"}},
		"broken":  {info(nil), gpus, []masu.Finding{broken}, []string{`warn cdi_spec_wrong [/etc/cdi/x.yaml kind: ""]`}, []string{"cdi_spec_wrong", "cdi_devices"}},
		"only so": {info(nil), nil, []masu.Finding{broken}, []string{`warn cdi_spec_wrong [/etc/cdi/x.yaml kind: ""]`}, []string{"cdi_spec_wrong"}},
	} {
		conf := healthy(t)
		conf.Socket = engine(t, c.engine)
		var asked []string
		conf.Devices = func(dirs []string) ([]masu.GPU, []masu.Finding) { asked = dirs; return c.gpus, c.wrong }
		found := checkDevices(t.Context(), newExam(t.Context(), conf))
		var codes []string
		for _, f := range found {
			codes = append(codes, f.Code)
		}
		if got := bad(t, found); !cmp.Equal(got, c.want) || !cmp.Equal(codes, c.codes) {
			t.Errorf("%s: %q %q", name, got, codes)
		}
		dirs := []string{"/etc/cdi"}
		if name == "no CDI" {
			dirs = []string{filepath.Join(conf.Root, "/etc/cdi"), filepath.Join(conf.Root, "/var/run/cdi")}
		}
		if !cmp.Equal(asked, dirs) {
			t.Errorf("%s: looked in %q", name, asked)
		}
	}
}

// TestDevicesAreNoNVIDIACards: a host with cards of other makers has no driver of NVIDIA's.
func TestDevicesAreNoNVIDIACards(t *testing.T) {
	conf := healthy(t)
	conf.Inventory = inventory{gpus: []masu.GPU{{ID: "amd.com/gpu=0"}}}
	if f := checkDriver(t.Context(), newExam(t.Context(), conf)); len(f) != 1 || f[0].Code != "nvidia_none" {
		t.Errorf("%+v", f)
	}
}

// TestHealth: broken cards are told, each with what to do.
func TestHealth(t *testing.T) {
	board := masu.Board{GPUs: []masu.BoardGPU{
		{GPU: masu.GPU{Index: 0}, Reading: &masu.Reading{Faults: -1}},
		{GPU: masu.GPU{Index: 1, Fault: "xid 79"}},
		{GPU: masu.GPU{Index: 2, Fault: masu.FaultReset}, Reading: &masu.Reading{Faults: 3}},
		{GPU: masu.GPU{Index: 3, Fault: masu.FaultPending}},
		{GPU: masu.GPU{Index: 4, Fault: masu.FaultWorn}},
		{GPU: masu.GPU{Index: 5}, Holds: []masu.Hold{{Member: "alice"}, {Member: "bob", Lost: true}}},
	}}
	conf := healthy(t)
	conf.Board = func(context.Context) (masu.Board, error) { return board, nil }
	want := []string{"warn gpu_faulty_xid [1 79]", "warn gpu_faulty_reset [2]", "warn gpu_errors_found [2 3]", "warn gpu_faulty_pending [3]", "warn gpu_faulty_worn [4]", "warn gpu_lost_by [5 bob]"}
	if got := bad(t, checkHealth(t.Context(), newExam(t.Context(), conf))); !cmp.Equal(got, want) {
		t.Errorf("%q", got)
	}
	conf.Board = func(context.Context) (masu.Board, error) { return masu.Board{}, context.Canceled }
	if got := checkHealth(t.Context(), newExam(t.Context(), conf)); got != nil {
		t.Errorf("%+v", got)
	}
}
