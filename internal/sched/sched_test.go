package sched

import (
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

func TestPick(t *testing.T) {
	small := masu.GPU{ID: "small", Index: 0, Model: "NVIDIA GeForce RTX 4090", Memory: 24564 * masu.MiB}
	large := masu.GPU{ID: "large", Index: 1, Model: "NVIDIA A100 80GB", Memory: 81559 * masu.MiB}
	other := masu.GPU{ID: "other", Index: 2, Model: "NVIDIA A100 80GB", Memory: 81559 * masu.MiB}
	all := []masu.GPU{large, small, other}
	for _, c := range []struct {
		name string
		free []masu.GPU
		want masu.Want
		ids  []masu.GPUID // nil: not now
	}{
		{"the smallest that fits", all, masu.Want{Count: 1}, []masu.GPUID{"small"}},
		{"what is sold as 24 GB", all, masu.Want{Count: 1, Memory: 24 * masu.GiB}, []masu.GPUID{"small"}},
		{"a larger one", all, masu.Want{Count: 1, Memory: 40 * masu.GiB}, []masu.GPUID{"large"}},
		{"by model", all, masu.Want{Count: 2, Model: "a100"}, []masu.GPUID{"large", "other"}},
		{"too many", all, masu.Want{Count: 4}, nil},
		{"none such", all, masu.Want{Count: 1, Model: "H100"}, nil},
		{"all of them", all, masu.Want{All: true}, []masu.GPUID{"small", "large", "other"}},
		{"a part takes a whole one", all, masu.Want{Share: 8 * masu.GiB}, []masu.GPUID{"small"}},
		{"nothing is free", nil, masu.Want{All: true}, nil},
	} {
		got, ok := Pick(c.free, c.want)
		if ok != (c.ids != nil) || !slices.Equal(got, c.ids) {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, ok, c.ids)
		}
	}
}
