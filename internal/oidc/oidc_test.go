package oidc

import (
	"testing"

	"github.com/masu-lab/masu"
)

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		name, claim, domain string
		claims              map[string]any
		want                masu.Username
	}{
		{"plain", "preferred_username", "", map[string]any{"preferred_username": "alice"}, "alice"},
		{"nothing said", "preferred_username", "", map[string]any{"sub": "1"}, ""},
		{"not a text", "preferred_username", "", map[string]any{"preferred_username": 7}, ""},
		{"an address", "email", "lab.example", map[string]any{"email": "alice@lab.example", "email_verified": true}, "alice"},
		{"not verified", "email", "lab.example", map[string]any{"email": "alice@lab.example"}, ""},
		{"verified in words", "email", "lab.example", map[string]any{"email": "alice@lab.example", "email_verified": "true"}, ""},
		{"another domain", "email", "lab.example", map[string]any{"email": "alice@evil.example", "email_verified": true}, ""},
		{"a longer domain", "email", "lab.example", map[string]any{"email": "alice@not-lab.example", "email_verified": true}, ""},
		{"two of them", "email", "lab.example", map[string]any{"email": "root@evil.example@lab.example", "email_verified": true}, ""},
		{"only the domain", "email", "lab.example", map[string]any{"email": "@lab.example", "email_verified": true}, ""},
	} {
		p, err := New(Config{Issuer: "https://id.example", ClientID: "masu", Redirect: "http://localhost:8888/signin/callback", Claim: c.claim, Domain: c.domain})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.login(c.claims)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && masu.CodeOf(err) != "signin_wrong" {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// What another browser began cannot be finished here, and nothing is asked of anybody.
func TestFinishRefuses(t *testing.T) {
	p, err := New(Config{Issuer: "https://id.invalid", ClientID: "masu", Redirect: "http://localhost:8888/signin/callback"})
	if err != nil {
		t.Fatal(err)
	}
	try := NewTry()
	for name, c := range map[string]struct {
		try         Try
		state, code string
	}{"another state": {try, "x", "code"}, "no state": {Try{}, "", "code"}, "no code": {try, try.State, ""}} {
		if _, err := p.Finish(t.Context(), c.try, c.state, c.code); masu.CodeOf(err) != "signin_wrong" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if try.State == try.Nonce || try.Nonce == try.Verifier || len(try.State) < 32 || try == NewTry() {
		t.Errorf("%+v", try)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty Config is taken")
	}
}
