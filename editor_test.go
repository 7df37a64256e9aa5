package masu

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestEditorPlaces(t *testing.T) {
	w := Workspace{ID: "abcdefghijkl", Owner: "alice", Name: "thesis"}
	if got := w.EditorBySSH(); got != "ssh-remote+thesis.masu/home/alice/work" {
		t.Error(got)
	}
	byHand := Workspace{ID: "x", Owner: "root", Name: "old", Adopted: &Adoption{Container: "bert_jupyter"}}
	for _, c := range []struct {
		w            Workspace
		host         string
		json, folder string
	}{
		{w, "", `{"containerName":"/masu-abcdefghijkl"}`, "/home/alice/work"},
		{w, "ssh://alice@gpu", `{"containerName":"/masu-abcdefghijkl","settings":{"host":"ssh://alice@gpu"}}`, "/home/alice/work"},
		{Workspace{ID: "y", Owner: "root"}, "", `{"containerName":"/masu-y"}`, "/root/work"},
		{byHand, "", `{"containerName":"/bert_jupyter"}`, "/"},
	} {
		rest, ok := strings.CutPrefix(c.w.EditorByEngine(c.host), "attached-container+")
		text, folder, _ := strings.Cut(rest, "/")
		got, err := hex.DecodeString(text)
		if !ok || err != nil || string(got) != c.json || "/"+folder != c.folder {
			t.Errorf("%s /%s, want %s %s", got, folder, c.json, c.folder)
		}
	}
}
