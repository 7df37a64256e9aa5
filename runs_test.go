package masu_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunAgain: what is run again is what was asked for, and writes over nothing.
func TestRunAgain(t *testing.T) {
	one := masu.Want{Count: 1}
	project := masu.Project{Dir: "/home/alice/thesis", Want: one}
	for _, c := range []struct {
		what string
		run  masu.Run
		want masu.RunWish
	}{
		{"a command", masu.Run{Name: "train", Project: project, Argv: []string{"python3", "train.py"}, Preset: "pytorch", Env: []string{"LR=3", "MASU_ARRAY_INDEX=9"}, Class: "paper", Limit: time.Hour, Retries: 2, After: []masu.WorkspaceID{"aaaabbbbcccc"}, Code: 1, Phase: masu.RunEnded},
			masu.RunWish{Dir: project.Dir, Name: "train", Preset: "pytorch", Want: &one, Class: "paper", Argv: []string{"python3", "train.py"}, Env: []string{"LR=3", "MASU_ARRAY_INDEX=9"}, Limit: time.Hour, Retries: 2}},
		{"a notebook", masu.Run{Name: "run", Project: project, Argv: []string{"masu", "notebook"}, Notebook: &masu.Notebook{Path: "a.ipynb", Out: "a.run-aaaabbbbcccc.ipynb", Parameters: []string{"lr=1"}}},
			masu.RunWish{Dir: project.Dir, Name: "run", Want: &one, Notebook: &masu.Notebook{Path: "a.ipynb", Parameters: []string{"lr=1"}}}},
		{"one of an array", masu.Run{Name: "run", Project: project, Argv: []string{"true"}, Series: "s", Index: 7, Env: []string{"LR=3", masu.ArrayIndex(7)}},
			masu.RunWish{Dir: project.Dir, Name: "run", Want: &one, Argv: []string{"true"}, Env: []string{"LR=3"}, Array: true, First: 7, Last: 7}},
	} {
		if got := c.run.Again(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestRanNotebook(t *testing.T) {
	for name, want := range map[string]bool{"a.run-abcdefg23456.ipynb": true, "a.ipynb": false, "run-abcdefg23456.ipynb": false, "a.run-abc.ipynb": false, "a.run-abcdefg23456.txt": false} {
		if masu.RanNotebook(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
