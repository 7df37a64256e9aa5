package masutest

import (
	"testing"

	"github.com/masu-lab/masu"
)

func TestFakeRuntime(t *testing.T) {
	Runtime(t, func(t *testing.T) (masu.Runtime, string) {
		rt := NewRuntime()
		t.Cleanup(func() {
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		})
		return rt, "masu-test/base"
	})
}

func TestFakeRuntimeGoesAway(t *testing.T) {
	rt := NewRuntime()
	defer rt.Close()
	img, err := rt.Image(t.Context(), "masu-test/base")
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Start(t.Context(), masu.Box{ID: "one", Image: img.ID}); err != nil {
		t.Fatal(err)
	}
	var told []error
	for id, err := range rt.Changes(t.Context()) { // ends by itself
		if id == "one" {
			rt.Unreachable(true)
		}
		if err != nil {
			told = append(told, err)
		}
	}
	if len(told) != 1 || masu.CodeOf(told[0]) != "engine_unreachable" {
		t.Errorf("Changes told %v", told)
	}
	if _, err := rt.Boxes(t.Context()); masu.CodeOf(err) != "engine_unreachable" {
		t.Errorf("Boxes: %v", err)
	}
	rt.Unreachable(false)
	if all, err := rt.Boxes(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("Boxes, when it is back: %v, %v", all, err)
	}
}
