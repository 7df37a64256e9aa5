package masu

import (
	"math"
	"reflect"
	"testing"
)

func at[T any](v T) *T { return &v }

// TestMemberLimitsWith: what a change says nothing about stays, and less than 0 goes back to the rules.
func TestMemberLimitsWith(t *testing.T) {
	own := MemberLimits{Workspaces: at(3), GPUs: at(2), CPUs: at(4.0)}
	for name, c := range map[string]struct{ change, want MemberLimits }{
		"nothing":       {MemberLimits{}, own},
		"another":       {MemberLimits{GPUs: at(0)}, MemberLimits{Workspaces: at(3), GPUs: at(0), CPUs: at(4.0)}},
		"one more":      {MemberLimits{Memory: at(GiB)}, MemberLimits{Workspaces: at(3), GPUs: at(2), CPUs: at(4.0), Memory: at(GiB)}},
		"as the rules":  {MemberLimits{Workspaces: at(-1), CPUs: at(-1.0), Memory: at(Bytes(-1))}, MemberLimits{GPUs: at(2)}},
		"runs, builds":  {MemberLimits{Runs: at(1), Builds: at(0)}, MemberLimits{Workspaces: at(3), GPUs: at(2), CPUs: at(4.0), Runs: at(1), Builds: at(0)}},
		"disk, images":  {MemberLimits{Disk: at(GiB), Images: at(Bytes(0))}, MemberLimits{Workspaces: at(3), GPUs: at(2), CPUs: at(4.0), Disk: at(GiB), Images: at(Bytes(0))}},
		"nothing again": {MemberLimits{Workspaces: at(-1), GPUs: at(-5), CPUs: at(-0.5)}, MemberLimits{}},
	} {
		if got := own.With(c.change); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestMemberLimitsValid(t *testing.T) {
	for name, c := range map[string]struct {
		l  MemberLimits
		ok bool
	}{
		"nothing":          {MemberLimits{}, true},
		"none at all":      {MemberLimits{Workspaces: at(0), GPUs: at(0), Runs: at(0), Builds: at(0)}, true},
		"back to rules":    {MemberLimits{Workspaces: at(-1), CPUs: at(-1.0), Memory: at(Bytes(-1))}, true},
		"half a processor": {MemberLimits{CPUs: at(0.5)}, true},
		"no processor":     {MemberLimits{CPUs: at(0.0)}, false},
		"not a number":     {MemberLimits{CPUs: at(math.NaN())}, false},
		"all processors":   {MemberLimits{CPUs: at(math.Inf(1))}, false},
		"no disk":          {MemberLimits{Disk: at(Bytes(0))}, false},
		"disk enough":      {MemberLimits{Disk: at(LeastSize), Images: at(Bytes(0))}, true},
		"no memory":        {MemberLimits{Memory: at(Bytes(0))}, false},
		"hardly any":       {MemberLimits{Memory: at(255 * MiB)}, false},
		"just enough":      {MemberLimits{Memory: at(256 * MiB)}, true},
		"too many":         {MemberLimits{Builds: at(10001)}, false},
	} {
		if got := c.l.Valid(); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
