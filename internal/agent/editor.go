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
		"--disable-proxy",           // a port of the box has an origin of its own: editorVariables
		"--disable-workspace-trust", // what a folder starts reaches this box alone, as in a terminal or a notebook
		"--app-name=masu", "--ignore-last-opened", b.Work,
	}
}

// editorVariables say where a port of the box is to be opened from VS Code: its
// list of ports, and by the same variable the programs in its terminals. It
// takes the address to be one at its own origin, wherever the browser found that.
func editorVariables() []string { return []string{"VSCODE_PROXY_URI=" + masu.PortPath + "{{port}}/"} }

const editorData = ".code-server"

// editorSettings is where VS Code looks for settings, and what stands there in
// a new home. What is so in this box is for that which comes from a laptop and for that
// in the browser: a notebook gets the box's Python as its kernel. What is a
// matter of taste is for that in the browser alone, where the member changes it.
func (i image) editorSettings(spec masu.AgentSpec) map[string]map[string]any {
	here := map[string]any{}
	if python := findCommand("python3", memberPath(i, spec), spec.Work).path; python != "" {
		here["python.defaultInterpreterPath"] = python
	}
	return map[string]map[string]any{
		".vscode-server/data/Machine/settings.json": here,
		editorData + "/Machine/settings.json":       here,
		editorData + "/User/settings.json": {
			"workbench.startupEditor":    "none", // the folder, and not a tour
			"chat.commandCenter.enabled": false,  // its button is for an extension that Open VSX lacks
		},
	}
}

// editorText is settings as VS Code keeps them; "" for none.
func editorText(settings map[string]any) string {
	if len(settings) == 0 {
		return ""
	}
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		panic(err) // plain values: cannot happen
	}
	return string(text) + "\n"
}
