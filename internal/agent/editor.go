package agent

import (
	"encoding/json"
	"path/filepath"
	"strconv"

	"github.com/masu-lab/masu"
)

// editorPort is where VS Code for the browser listens on the box's loopback.
const editorPort = 8443

// editorArgv starts code-server with the Node that was mounted with it. It asks
// nobody for a password, as jupyterArgv says. What it keeps stays in the home,
// beside what VS Code keeps that comes from a laptop.
func editorArgv(b box) []string {
	data := filepath.Join(b.User.Home, editorData)
	node := runnable(masu.EditorPath + "/lib/node").path
	return []string{
		node, masu.EditorPath + "/server/out/node/entry.js",
		"--config=" + filepath.Join(data, "config.yaml"), "--user-data-dir=" + data, "--extensions-dir=" + filepath.Join(data, "extensions"),
		"--bind-addr=127.0.0.1:" + strconv.Itoa(editorPort), "--auth=none", "--cert=false",
		"--disable-telemetry", "--disable-update-check", "--disable-getting-started-override",
		"--disable-proxy",           // a port of the box has an origin of its own
		"--disable-workspace-trust", // what a folder starts reaches this box alone, as in a terminal or a notebook
		"--app-name=masu", "--ignore-last-opened", b.Work,
	}
}

const editorData = ".code-server"

// editorSettings are where VS Code looks for what is so in this box: that which
// comes from a laptop, and that in the browser.
var editorSettings = []string{".vscode-server/data/Machine/settings.json", editorData + "/Machine/settings.json"}

// editorText says which Python the box has: its kernel is then the one that a notebook gets.
func (i image) editorText(spec masu.AgentSpec) string {
	python := findCommand("python3", memberPath(i, spec), spec.Work).path
	if python == "" {
		return ""
	}
	text, err := json.MarshalIndent(map[string]string{"python.defaultInterpreterPath": python}, "", "  ")
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return string(text) + "\n"
}
