package buildkit

import (
	"reflect"
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

func TestBuildTrouble(t *testing.T) {
	for _, c := range []struct {
		name, step, err, words string
		kind                   masu.Kind
		code                   string
		args                   []string
	}{
		{"20.10", "[stage-1 3/5] RUN exit 3", "executor failed running [/bin/sh -c exit 3]: exit code: 3", "failed to solve with frontend dockerfile.v0: executor failed running [/bin/sh -c exit 3]: exit code: 3",
			masu.Invalid, "build_failed", []string{"3", "RUN exit 3", "3"}},
		{"newer", "[3/5] RUN make", `process "/bin/sh -c make" did not complete successfully: exit code: 2`, `failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2`,
			masu.Invalid, "build_failed", []string{"3", "RUN make", "2"}},
		{"file missing", "[2/2] COPY a /a", `failed to walk /x: lstat /x/a: no such file or directory`, "failed to solve: failed to compute cache key",
			masu.Invalid, "build_step_refused", []string{"2", "COPY a /a", "failed to walk /x: lstat /x/a: no such file or directory"}},
		{"base missing", "[internal] load metadata for docker.io/library/nothing:1", "docker.io/library/nothing:1: not found", "failed to solve",
			masu.NotFound, "no_image", []string{"nothing:1"}},
		{"frontend", "resolve image config for docker.io/docker/dockerfile:1", "dial tcp: lookup", "failed to solve",
			masu.Invalid, "dockerfile_frontend", []string{"docker/dockerfile:1"}},
		{"parse, 20.10", "", "", "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: FORM",
			masu.Invalid, "dockerfile_invalid", []string{"2", "unknown instruction: FORM"}},
		{"parse, newer", "", "", "failed to solve: dockerfile parse error on line 7: unknown instruction: FORM",
			masu.Invalid, "dockerfile_invalid", []string{"7", "unknown instruction: FORM"}},
		{"other", "", "", "failed to solve with frontend dockerfile.v0: failed to create LLB definition: target stage nope could not be found",
			masu.Invalid, "build_refused", []string{"target stage nope could not be found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSteps(nil)
			if c.step != "" {
				s.Take(Trace{Vertices: []Vertex{{Digest: "c", Name: "[4/5] RUN other", Err: "context canceled"}, {Digest: "d", Name: c.step, Started: true, Err: c.err}}})
			}
			e := s.Trouble(c.words)
			if e.Kind != c.kind || e.Code != c.code || !slices.Equal(e.Args, c.args) {
				t.Errorf("%s %s %q", e.Kind, e.Code, e.Args)
			}
		})
	}
}

func TestDiskFullInAStep(t *testing.T) {
	s := NewSteps(nil)
	s.Take(Trace{Vertices: []Vertex{{Digest: "d", Name: "[2/2] RUN dd", Started: true}}, Outputs: []Output{{"d", []byte("dd: writing: No space left on device\n")}}})
	if s.DiskFull() {
		t.Error("a step that has not failed is no full disk")
	}
	s.Take(Trace{Vertices: []Vertex{{Digest: "d", Name: "[2/2] RUN dd", Started: true, Err: "exit code: 1"}}})
	if !s.DiskFull() {
		t.Error("the step's complaint was not heard")
	}
}

func TestDecodeJSON(t *testing.T) {
	for line, want := range map[string]Trace{
		`{"vertexes":[{"digest":"sha256:aa","name":"[2/2] RUN true","started":"2026-11-28T01:02:03Z"}]}`: {
			Vertices: []Vertex{{Digest: "sha256:aa", Name: "[2/2] RUN true", Started: true}}},
		`{"logs":[{"vertex":"sha256:aa","stream":1,"data":"b25lCg=="}],"statuses":[{"id":"l","vertex":"sha256:aa","current":5,"total":10}]}`: {
			Outputs: []Output{{"sha256:aa", []byte("one\n")}}, Transfers: []Transfer{{"l", "sha256:aa", 5, 10}}},
		`{"vertexes":[{"digest":"sha256:aa","name":"x","completed":"2026-11-28T01:02:03Z","error":"exit code: 3","cached":true}]}`: {
			Vertices: []Vertex{{Digest: "sha256:aa", Name: "x", Err: "exit code: 3", Cached: true, Completed: true}}},
	} {
		got, err := DecodeJSON([]byte(line))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis %+v, %v", line, got, err)
		}
	}
	if _, err := DecodeJSON([]byte("ERROR: no")); err == nil {
		t.Error("words that are no JSON were taken")
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"vertexes":[{"digest":"a","started":"2026-11-28T01:02:03Z"}],"logs":[{"vertex":"a","data":"b25lCg=="}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if tr, err := DecodeJSON(line); err == nil {
			NewSteps(nil).Take(tr)
		}
	})
}
