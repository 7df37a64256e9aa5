package masu

import (
	"encoding/hex"
	"encoding/json"
)

// SSHSuffix makes a workspace's name one that ssh's configuration knows: thesis.masu.
const SSHSuffix = ".masu"

// PortPath, with a port after it, leads from the origin of any app to that of
// what listens at that port of the same box.
const PortPath = "/_masu/port/"

// WorkFolder is the project folder inside the workspace's box.
func (w Workspace) WorkFolder() string {
	if w.Owner == "root" {
		return "/root/work"
	}
	return "/home/" + string(w.Owner) + "/work"
}

// EditorBySSH is the workspace's folder as VS Code names it, AUTHORITY/PATH, when
// it goes there by ssh: by the name that ssh's configuration knows.
func (w Workspace) EditorBySSH() string {
	return "ssh-remote+" + w.Name + SSHSuffix + w.WorkFolder()
}

// EditorByEngine is the same for who may use the engine's socket: of this
// machine, or of the one that host names ("ssh://alice@gpu").
func (w Workspace) EditorByEngine(host string) string {
	at := struct {
		Name     string            `json:"containerName"`
		Settings map[string]string `json:"settings,omitempty"`
	}{Name: "/masu-" + string(w.ID)}
	folder := w.WorkFolder()
	if w.Adopted != nil { // made by hand: who and where one is in it is its own
		at.Name, folder = "/"+w.Adopted.Container, "/"
	}
	if host != "" {
		at.Settings = map[string]string{"host": host}
	}
	text, err := json.Marshal(at)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return "attached-container+" + hex.EncodeToString(text) + folder
}
