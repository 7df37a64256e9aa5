package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// siteConfig is a configuration with the certificate authorities that this
// machine was given: where npm is reached through a proxy that shows its own, a build must know them too.
func (l *lab) siteConfig() {
	l.t.Helper()
	files, _ := filepath.Glob("/usr/local/share/ca-certificates/*.crt")
	if len(files) == 0 {
		return
	}
	list, err := json.Marshal(files) // which is YAML too
	if err == nil {
		l.config = filepath.Join(l.dir, "config.yaml")
		err = os.WriteFile(l.config, fmt.Appendf(nil, "site:\n  ca_files: %s\n", list), 0o644)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.kill()
	l.start()
}

// TestVSCode is row S11, as far as it can be had without VS Code itself: the
// editor in the browser with its terminal; the links and files for an editor
// on a laptop; and what attaches to the container with the engine's socket.
func TestVSCode(t *testing.T) {
	l := newLab(t)
	l.siteConfig()
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\napps: [jupyter, code]\n", "README.md": "# shown\n", "a.ipynb": aNotebook})
	l.must("e2ealice", "up", "--no-check", dir)
	settings := l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "cat ~/.code-server/Machine/settings.json ~/.vscode-server/data/Machine/settings.json; touch /masu/code/x 2>&1; true")
	if strings.Count(settings, "defaultInterpreterPath") != 2 || !strings.Contains(settings, "Read-only file system") {
		t.Errorf("settings, and the editor's folder: %s", settings)
	}
	// The extension that runs notebooks cannot be had here. It takes the Python of the settings, and asks that for its kernel.
	if got := l.must("e2ealice", "exec", "thesis", "--", "python3", "-c", asksKernel); got != "the box's own\n" {
		t.Errorf("the kernel that a notebook gets: %s", got)
	}
	l.attaches(t, dir, alice.Uid)
	l.opensTheEditor(t)
	l.editsInTheBrowser(t, dir, alice.Uid)
}

// asksKernel sees to it that the interpreter of the settings is the box's, which is what its kernel runs.
const asksKernel = `import json, os, subprocess, sys
python = json.load(open(os.path.expanduser("~/.code-server/Machine/settings.json")))["python.defaultInterpreterPath"]
ask = "import ipykernel, sys, jupyter_client.kernelspec as k; print(sys.prefix, k.get_kernel_spec('python3').argv[0])"
prefix, kernel = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
print("the box's own" if prefix == sys.prefix and os.path.realpath(kernel) == os.path.realpath(python) else [python, prefix, kernel, sys.prefix])`

// drawsText has the terminal's text in the page, where it can be read, and not in a picture.
const drawsText = `import json, os
path = os.path.expanduser("~/.code-server/User/settings.json")
mine = json.load(open(path))
assert mine["workbench.startupEditor"] == "none", mine
json.dump(mine | {"terminal.integrated.gpuAcceleration": "off"}, open(path, "w"))`

// editsInTheBrowser: the workbench opens the folder at the app's own origin and
// asks nothing; its terminal is the member's and outlives a reload; a preview shows itself.
func (l *lab) editsInTheBrowser(t *testing.T, dir, uid string) {
	l.must("e2ealice", "exec", "thesis", "--", "python3", "-c", drawsText)
	ctx := browser(t, "en")
	defer func() {
		if t.Failed() {
			shoot(t, ctx, "failure")
		}
	}()
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "signed in", `document.querySelector('form[action="/signout"]')`)
	do(t, ctx, chromedp.Navigate(fmt.Sprintf("http://localhost:%d/w/thesis", l.port)))
	holds(t, ctx, "the link for a laptop is there", `document.querySelector('a[href="vscode://vscode-remote/ssh-remote+thesis.masu/home/e2ealice/work"]')`)
	holds(t, ctx, "who has no engine's socket is not told to attach", `!document.querySelector('a[href*="attached-container"]')`)
	shoot(t, ctx, "vscode-page")
	openApp(t, ctx, "code")
	workbench := `document.querySelector('.monaco-workbench .part.statusbar .statusbar-item') && document.querySelector('.explorer-folders-view')`
	holds(t, ctx, "the workbench is there", workbench)
	holds(t, ctx, "it shows the folder", `document.querySelector('.explorer-folders-view').textContent.includes("README.md")`)

	l.commands(t, ctx, "Terminal: Create New Terminal")
	l.types(t, ctx, "id -u > typed.txt; echo $((6*7))is; code-server README.md")
	l.wrote(dir, "typed.txt", uid+"\n")
	holds(t, ctx, "the terminal shows what it printed", inTerminal("42is"))
	holds(t, ctx, "the terminal's command opens a file in the editor", `document.querySelector('.tab.active[data-resource-name="README.md"]')`)
	holds(t, ctx, "nobody is asked for trust, nothing is restricted, and no tour is given", `!document.querySelector('.monaco-dialog-box') && !document.querySelector('.part.statusbar').textContent.includes("Restricted") && document.querySelectorAll('.tab').length === 1`)
	preview := `.editor-actions a[aria-label^="Open Preview to the Side"]`
	holds(t, ctx, "a preview is offered", `document.querySelector('`+preview+`')`)
	do(t, ctx, chromedp.Click(preview))
	holds(t, ctx, "its preview is there", `document.querySelector('iframe.webview.ready')`)
	shoot(t, ctx, "vscode-workbench")

	do(t, ctx, chromedp.Reload())
	holds(t, ctx, "the workbench is there again", workbench)
	holds(t, ctx, "and its terminal, with what it had printed", inTerminal("42is"))
}

// commands runs one of VS Code's commands by its name.
func (l *lab) commands(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	do(t, ctx, chromedp.KeyEvent(kb.F1))
	holds(t, ctx, "commands can be asked for", `document.activeElement.closest('.quick-input-widget')`)
	do(t, ctx, chromedp.KeyEvent(name))
	holds(t, ctx, name+" is there", `document.querySelector('.quick-input-list .monaco-list-row.focused')?.textContent.startsWith("`+name+`")`)
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
}

// types types a line in VS Code's terminal.
func (l *lab) types(t *testing.T, ctx context.Context, line string) {
	t.Helper()
	holds(t, ctx, "the terminal has the keyboard", `document.activeElement.matches('.terminal-wrapper .xterm-helper-textarea')`)
	holds(t, ctx, "its shell asks for a command", inTerminal("$ "))
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	// Pressed one by one by the test, each letter would be taken twice: the terminal takes it as the key goes down.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.execCommand("insertText", false, `+string(text)+`)`)); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
}

// inTerminal is whether VS Code's terminal shows a text.
func inTerminal(text string) string {
	return `document.querySelector('.terminal-wrapper .xterm-rows')?.textContent.includes("` + text + `")`
}

// wrote waits until a file of the project folder has a text.
func (l *lab) wrote(dir, file, text string) {
	l.t.Helper()
	l.until(60*time.Second, fmt.Sprintf("%s says %q", file, text), func() bool {
		got, _ := os.ReadFile(filepath.Join(dir, file)) // not there yet
		return string(got) == text
	})
}

// opensTheEditor: `masu code` makes ssh know the workspace and runs the editor;
// ssh then goes in by that name.
func (l *lab) opensTheEditor(t *testing.T) {
	link := "vscode-remote/ssh-remote+thesis.masu/home/e2ealice/work\n"
	if got := l.must("e2ealice", "code", "thesis"); got != "vscode://"+link {
		t.Errorf("without an editor: %q", got)
	}
	home := "/home/e2ealice"
	said := filepath.Join(home, "said")
	if err := os.WriteFile(filepath.Join(l.dir, "codium"), []byte("#!/bin/sh\necho \"$@\" > "+said+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := l.command("e2ealice", "", "code", "--editor", "codium", "thesis")
	cmd.Env = append(cmd.Env, "PATH="+l.dir+":/usr/bin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("masu code: %v: %s", err, out)
	}
	if got, err := os.ReadFile(said); err != nil || string(got) != "--folder-uri vscode-remote://ssh-remote+thesis.masu/home/e2ealice/work\n" {
		t.Errorf("the editor was told %q, %v", got, err)
	}
	ssh := l.command("e2ealice", "")
	ssh.Path, ssh.Args = "/usr/bin/ssh", []string{"ssh", "-F", filepath.Join(home, ".ssh", "config.d", "masu"), "thesis.masu", "id", "-un"}
	if out, err := ssh.CombinedOutput(); err != nil || string(out) != "e2ealice\n" {
		t.Errorf("ssh thesis.masu: %q, %v", out, err)
	}
	if r := l.as("e2ealice", "code", "--attach", "thesis"); r.code == 0 {
		t.Errorf("who has no engine's socket attaches: %q", r.out)
	}
	if got := l.must("root", "code", "--attach", "e2ealice/thesis"); !strings.HasPrefix(got, "vscode://vscode-remote/attached-container+7b22") || !strings.HasSuffix(got, "/home/e2ealice/work\n") {
		t.Errorf("an admin: %q", got)
	}
}

// attaches: the Dev Containers CLI, by the container alone, finds the member,
// the folder and the extensions, and runs a command there as VS Code would.
func (l *lab) attaches(t *testing.T, dir, uid string) {
	cli := "../devcontainer/node_modules/.bin/devcontainer"
	if _, err := os.Stat(cli); err != nil {
		t.Fatalf("%v (test/setup.sh installs it)", err)
	}
	box := "masu-" + l.only("e2ealice").ID
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), cli, args...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("devcontainer %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	var read struct {
		MergedConfiguration struct {
			RemoteUser      string
			WorkspaceFolder string
			Customizations  struct {
				VSCode []struct{ Extensions []string }
			}
		}
	}
	said := run("read-configuration", "--container-id", box, "--include-merged-configuration")
	if err := json.Unmarshal([]byte(said), &read); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	m := read.MergedConfiguration
	if m.RemoteUser != "e2ealice" || !strings.Contains(said, "ms-toolsai.jupyter") {
		t.Errorf("the configuration: %s", said)
	}
	got := run("exec", "--container-id", box, "sh", "-c", "id -u; echo $HOME; cd ~/work && touch attached.txt; command -v python3")
	if !strings.HasPrefix(got, uid+"\n/home/e2ealice\n") || strings.Count(got, "\n") != 3 {
		t.Errorf("a command there: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "attached.txt")); err != nil {
		t.Error(err)
	}
}
