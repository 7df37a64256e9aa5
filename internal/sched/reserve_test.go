package sched

import (
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

func TestReserve(t *testing.T) {
	taken := []masu.Reservation{reserves("bob", "a", 2, 4), reserves("carol", "b", 4, 6)}
	missed := reserves("dave", "c", 0, 24)
	missed.Missed = true
	for name, c := range map[string]struct {
		want        masu.Want
		from, until float64
		ids         []masu.GPUID // nil: cannot be met
	}{
		"the smallest":             {masu.Want{Count: 1}, 0, 2, []masu.GPUID{"a"}},
		"up to the minute":         {masu.Want{Count: 1}, 4, 6, []masu.GPUID{"a"}},
		"another one":              {masu.Want{Count: 1}, 3, 4, []masu.GPUID{"b"}},
		"none is left of a size":   {masu.Want{Count: 2, Memory: 24 * masu.GiB}, 3, 5, nil},
		"a missed one is nobody's": {masu.Want{Count: 1}, 3, 5, []masu.GPUID{"c"}},
		"all":                      {masu.Want{All: true}, 0, 2, []masu.GPUID{"a", "b", "c"}},
		"all, one is taken":        {masu.Want{All: true}, 0, 3, nil},
		"nothing":                  {masu.Want{}, 0, 2, nil},
	} {
		got, ok := Reserve(cards(24, 24, 40), append(taken, missed), c.want, noon.Add(hours(c.from)), noon.Add(hours(c.until)))
		if name == "none is left of a size" {
			got, ok = Reserve(cards(24, 24), taken, c.want, noon.Add(hours(c.from)), noon.Add(hours(c.until)))
		}
		if !slices.Equal(got, c.ids) || ok != (c.ids != nil) {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}
