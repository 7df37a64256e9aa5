package masu

import "testing"

// TestShell: what offers a terminal is known by its name, or by its command line.
func TestShell(t *testing.T) {
	for _, c := range []struct {
		app  AppWish
		want bool
	}{
		{AppWish{Name: "jupyter"}, true}, {AppWish{Name: "code"}, true}, {AppWish{Name: "tensorboard", Logs: "runs"}, false},
		{AppWish{Name: "demo", Command: "streamlit run app.py"}, false}, {AppWish{Name: "board", Command: "node server.js"}, false}, {AppWish{Name: "x", Command: "python3 -m http.server"}, false},
		{AppWish{Name: "x", Command: "python -m JupyterLab"}, true}, {AppWish{Name: "x", Command: "exec ttyd -p $PORT bash"}, true}, {AppWish{Name: "x", Command: "code-server --port 1"}, true},
		{AppWish{Name: "r", Command: "/usr/lib/rstudio-server/bin/rserver"}, true}, {AppWish{Name: "x", Command: "marimo edit a.py"}, true}, {AppWish{Name: "x", Command: "marimo run a.py"}, false},
	} {
		if got := c.app.Shell(); got != c.want {
			t.Errorf("%+v: %v", c.app, got)
		}
	}
}

// TestShownTo: who an app is shared with sees that app as it was shared, and nothing else.
func TestShownTo(t *testing.T) {
	w := Workspace{ID: "x", Owner: "alice", Name: "thesis", Label: "thesis--alice", Phase: Running, Image: "i", Guests: []Username{"guest"}, Trouble: &Trouble{Code: "c"},
		Project: Project{Dir: "/home/alice/thesis", Apps: []AppWish{{Name: "jupyter"}, {Name: "demo", Command: "serve", Port: 8501}}},
		Apps:    []App{{Name: "jupyter", Port: 8888}, {Name: "demo", Port: 8501, Error: "words", Command: "serve --token=x"}},
		Shares:  []AppShare{{App: "demo", With: "bob", Port: 8501, Command: "serve"}, {App: "demo", Lab: true, Port: 8501, Command: "serve"}, {App: "jupyter", With: "carol", Port: 8888}}}
	for who, want := range map[Username]struct {
		apps, shares int
		part         bool
	}{"alice": {2, 3, false}, "guest": {2, 3, false}, "bob": {1, 2, true}, "stranger": {1, 1, true}, "carol": {2, 2, true}} {
		got, ok := w.ShownTo(who)
		if !ok || got.Part != want.part || len(got.Apps) != want.apps || len(got.Shares) != want.shares {
			t.Errorf("%s sees %+v, %v", who, got, ok)
		}
		if hers := got.Apps[len(got.Apps)-1].Command != ""; hers != (who == "alice") {
			t.Errorf("%s sees the commands: %v", who, hers)
		}
		if got.Part && (got.Project.Dir != "" || got.Image != "" || got.Trouble != nil || got.Guests != nil || got.Apps[0].Error != "" || got.Project.Apps[0].Command != "" || got.Shares[0].Command != "") {
			t.Errorf("%s sees too much: %+v", who, got)
		}
	}
	w.Apps[1].Port = 8502 // another program of that name
	if got, ok := w.ShownTo("bob"); !ok || len(got.Apps) != 0 {
		t.Errorf("bob sees %+v, %v", got, ok)
	}
	w.Shares = w.Shares[:1]
	if got, ok := w.ShownTo("stranger"); ok {
		t.Errorf("a stranger sees %+v", got)
	}
}
