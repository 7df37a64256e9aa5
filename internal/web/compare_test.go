package web

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func (a *fakeActor) Contents(_ context.Context, name string) (masu.Contents, error) {
	if c, ok := a.contents[masu.WorkspaceID(name)]; ok {
		return c, nil
	}
	return masu.Contents{}, masu.E(masu.Conflict, "not_built", name)
}

// TestCompare: two environments are chosen, and the page tells in what they differ; what is another's cannot be chosen.
func TestCompare(t *testing.T) {
	g := newRig(t)
	one, two, never := running("alice", "one"), running("alice", "two"), running("alice", "never")
	one.Project.Environment = masu.Environment{Preset: "python", Pip: []string{"numpy==1.26.4", "Foo_Bar"}}
	two.Project.Environment = masu.Environment{Preset: "python", Pip: []string{"numpy==2.1.0"}}
	never.Project.Environment = masu.Environment{Preset: "python", Pip: []string{"numpy==1.26.4", "scipy>=1.11"}}
	theirs := running("bob", "secret")
	theirs.Guests = []masu.Username{"alice"}
	for _, ws := range []masu.Workspace{one, two, never, theirs} {
		g.lab.set(ws)
	}
	g.lab.contents = map[masu.WorkspaceID]masu.Contents{"one-alice": aLock("1.26.4", "4.38.2", "2.18.0"), "two-alice": aLock("1.26.4", "4.41.0", "")}
	g.lab.shared["shared000001"] = masu.Shared{ID: "shared000001", Owner: "bob", Title: "演習", Lab: true, Env: two.Project.Environment, Lock: aLock("1.26.4", "4.41.0", "").Lock.Text()}
	alice := g.browser()
	alice.signIn("alice")
	for _, page := range []string{"/w/one", "/environments", "/e/shared000001"} {
		if a := alice.get(page); !strings.Contains(a.text, `href="/compare?a=`) {
			t.Errorf("%s leads to no comparison", page)
		}
	}
	choice := alice.get("/compare?a=w%2Fone", "Accept-Language", "en")
	for _, want := range []string{`<option value="w/one" selected>`, `<option value="e/shared000001">演習 (bob)`} {
		if !strings.Contains(choice.text, want) {
			t.Errorf("the choice has no %s", want)
		}
	}
	if strings.Contains(choice.text, "secret") || strings.Contains(choice.text, "<table") {
		t.Error("the choice shows too much")
	}
	for _, c := range []struct {
		query         string
		want, wanting []string
	}{
		{"a=w/one&b=w/two", []string{"Base image", "3.9.19", "Only in one", ">datasets<", "Only in two", ">safetensors<", "Other versions", ">4.38.2<", ">4.41.0<"}, []string{">numpy<", "was not built"}},
		{"a=w/one&b=e/shared000001", []string{"Only in 演習", ">safetensors<"}, []string{"was not built"}},
		{"a=w/one&b=w/never", []string{"was not built", "Only in never", ">scipy<", "&gt;=1.11", ">foo-bar<", "any version"}, []string{">numpy<"}},
		{"a=w/two&b=w/two", []string{"two and two have the same"}, []string{"<table"}},
	} {
		a := alice.get("/compare?"+c.query, "Accept-Language", "en")
		lacks := slices.DeleteFunc(slices.Clone(c.want), func(s string) bool { return strings.Contains(a.text, s) })
		has := slices.DeleteFunc(slices.Clone(c.wanting), func(s string) bool { return !strings.Contains(a.text, s) })
		if a.StatusCode != 200 || len(lacks)+len(has) > 0 {
			t.Errorf("%s: %s, lacks %q, has %q", c.query, a.Status, lacks, has)
		}
	}
	for _, query := range []string{"a=w/one&b=w/secret", "a=w/one&b=w/secret-bob", "a=w/secret-bob&b=w/one", "a=w/one&b=e/none", "a=w/one&b=x", "a=/etc&b=w/one", "a=w/one&b=w//etc"} {
		if a := alice.get("/compare?" + query); a.StatusCode != 404 {
			t.Errorf("%s: %s", query, a.Status)
		}
	}
}
