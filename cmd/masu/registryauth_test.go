package main

import (
	"encoding/json"
	"testing"

	"github.com/masu-lab/masu"
)

func TestRegistryAuth(t *testing.T) {
	var c dockerConfig
	if err := json.Unmarshal([]byte(`{"auths":{"registry.example.org":{"auth":"YWxpY2U6cDpx"},"https://index.docker.io/v1/":{"auth":"YTpi"},"bad.example":{"auth":"%"}},"credHelpers":{"odd.example":"../x"}}`), &c); err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string]masu.RegistryAuth{
		"registry.example.org": {Username: "alice", Password: "p:q"}, "docker.io": {Username: "a", Password: "b"}, "other.example": {}, "odd.example": {},
	} {
		if got, err := c.auth(t.Context(), registry); err != nil || got != want {
			t.Errorf("%s: %#v, %v", registry, got, err)
		}
	}
	if _, err := c.auth(t.Context(), "bad.example"); masu.CodeOf(err) != "docker_config" {
		t.Error(err)
	}
}
