package api

import (
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestOpen: with a token, over the network, the same service; and no more than the token allows.
func TestOpen(t *testing.T) {
	_, address := tokenServer(t)
	open := func(token string) *Client {
		c, err := Open(address, token)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	alice, looks := open("masu_all"), open("masu_look")
	hello, err := alice.Whoami(t.Context())
	if err != nil || hello.Actor.Name != "alice" {
		t.Fatalf("%+v, %v", hello, err)
	}
	w, err := alice.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "thesis"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range alice.Watch(t.Context(), w.Name) {
		if err != nil {
			t.Error(err)
		}
	}
	if list, err := looks.Workspaces(t.Context(), false); err != nil || len(list) != 1 || list[0].Phase != masu.Running {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := looks.Samples(t.Context(), w.Name, time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := looks.Stop(t.Context(), w.Name); masu.CodeOf(err) != "token_reads_only" {
		t.Errorf("a token that only looks stops it: %v", err)
	}
	if _, err := open("masu_wrong").Whoami(t.Context()); masu.CodeOf(err) != "token_needed" {
		t.Errorf("a wrong token: %v", err)
	}
	if _, err := alice.Dial(t.Context(), w.Name, 8888); masu.CodeOf(err) != "no_route" {
		t.Errorf("a connection over the network: %v", err)
	}
	for _, bad := range []string{"", "gpu:8888", "ftp://x", "http://user:pw@x", "unix:/x"} {
		if _, err := Open(bad, "x"); masu.CodeOf(err) != "address_wrong" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
