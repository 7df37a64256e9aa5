package web

import (
	"testing"

	"github.com/masu-lab/masu"
)

func TestOrigins(t *testing.T) {
	ws := masu.Workspace{Name: "thesis", Owner: "alice", Label: "thesis--alice"}
	local := OriginsConfig{Pages: "http://localhost:8888", Suffix: "localhost:8888"}
	wild := OriginsConfig{Pages: "https://gpu.lab", Suffix: "apps.gpu.lab"}
	for _, c := range []struct {
		config    OriginsConfig
		host, app string
		want      string
	}{
		{local, "localhost:8888", "jupyter", "http://thesis--alice.localhost:8888"},
		{local, "localhost:8888", "tensorboard", "http://tensorboard--thesis--alice.localhost:8888"},
		{local, "127.0.0.1:8888", "jupyter", "http://thesis--alice.localhost:8888"},
		{local, "localhost:9999", "p8000", "http://p8000--thesis--alice.localhost:9999"},
		{local, "192.168.1.5:8888", "jupyter", "http://thesis--alice.localhost:8888"}, // without ports there are only names
		{wild, "gpu.lab", "jupyter", "https://thesis--alice.apps.gpu.lab"},
		{wild, "10.0.0.1", "code", "https://code--thesis--alice.apps.gpu.lab"},
	} {
		o, err := NewOrigins(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.near(c.host, ws, c.app); got != c.want || err != nil {
			t.Errorf("near(%s, %s) = %s, %v; want %s", c.host, c.app, got, err, c.want)
		}
		p, ok := o.split(c.want[len(o.scheme+"://"):])
		if !ok || p.app != c.app || p.label != ws.Label {
			t.Errorf("%s is read as %v", c.want, p)
		}
	}
	o, _ := NewOrigins(wild)
	if _, ok := o.split("thesis--alice.apps.gpu.lab:1"); ok {
		t.Error("another port is taken for ours")
	}
	if got, err := o.App(ws, "no-app"); err == nil {
		t.Errorf("an app that has no name: %s", got)
	}
	for _, pages := range []string{"", "localhost:8888", "http://localhost:8888/", "ftp://x", "http://a@b"} {
		if _, err := NewOrigins(OriginsConfig{Pages: pages, Suffix: "x"}); err == nil {
			t.Errorf("%q is taken for an origin", pages)
		}
	}
	if _, err := NewOrigins(OriginsConfig{Pages: "http://x"}); err == nil {
		t.Error("no suffix is needed")
	}
}
