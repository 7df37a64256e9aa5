package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// siteConfig is a configuration with the certificate authorities that this
// machine was given: where npm is reached through a proxy that shows its own, a build must know them too.
func siteConfig(t *testing.T) string {
	t.Helper()
	files, _ := filepath.Glob("/usr/local/share/ca-certificates/*.crt") // the pattern is right
	list, err := json.Marshal(append([]string{}, files...))             // which is YAML too
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("site:\n  ca_files: %s\n", list)
}

// TestVSCode is row S11, as far as it can be had without VS Code itself: the
// editor in the browser with its terminal; the links and files for an editor
// on a laptop; and what attaches to the container with the engine's socket.
func TestVSCode(t *testing.T) {
	l := unstartedLab(t)
	l.configure(siteConfig(t))
	l.start()
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\napps: [jupyter, code]\n", "cell.ipynb": strings.Replace(aNotebook, "6*7", "__import__('sys').prefix", 1), "kernels.vsix": extension(t)})
	l.must("e2ealice", "up", "--no-check", dir)
	settings := l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "cat ~/.code-server/Machine/settings.json ~/.vscode-server/data/Machine/settings.json; touch /masu/code/x 2>&1; true")
	if strings.Count(settings, "defaultInterpreterPath") != 2 || !strings.Contains(settings, "Read-only file system") {
		t.Errorf("settings, and the editor's folder: %s", settings)
	}
	l.attaches(t, dir, alice.Uid)
	l.opensTheEditor(t)
	l.editsInTheBrowser(t, dir, alice.Uid)
}

// extension packs the one of testdata as an editor installs it from a file.
func extension(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, name := range []string{"package.json", "extension.js", "kernel.py"} {
		text, err := os.ReadFile(filepath.Join("testdata/kernels", name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.Create("extension/" + name)
		if err == nil {
			_, err = f.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// drawsText has the terminal's text in the page, where it can be read, and not
// in a picture; it tells which Python is the box's.
const drawsText = `import json, os, sys
path = os.path.expanduser("~/.code-server/User/settings.json")
mine = json.load(open(path))
assert mine["workbench.startupEditor"] == "none", mine
json.dump(mine | {"terminal.integrated.gpuAcceleration": "off"}, open(path, "w"))
print(sys.prefix, end="")`

// editsInTheBrowser: the workbench opens the folder at the app's own origin and
// asks nothing. Its terminal is the member's, installs an extension from a file,
// and outlives a reload; a notebook's cell is run by the box's kernel; what the
// terminal serves at a port has an origin of its own.
func (l *lab) editsInTheBrowser(t *testing.T, dir, uid string) {
	python := l.must("e2ealice", "exec", "thesis", "--", "python3", "-c", drawsText)
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
	holds(t, ctx, "it shows the folder", `document.querySelector('.explorer-folders-view').textContent.includes("cell.ipynb")`)

	l.commands(t, ctx, "Terminal: Focus on Terminal View") // which makes one, as soon as the workbench is connected
	l.types(t, ctx, "id -u > typed.txt; echo $VSCODE_PROXY_URI > uri.txt; echo $((6*7))is; code-server --install-extension kernels.vsix && code-server cell.ipynb; python3 -m http.server 8501 --bind 127.0.0.1")
	l.wrote(dir, "typed.txt", uid+"\n")
	holds(t, ctx, "the terminal shows what it printed", inTerminal("42is"))
	holds(t, ctx, "the terminal's command opens a file in the editor", `document.querySelector('.tab.active[data-resource-name="cell.ipynb"]')`)
	holds(t, ctx, "nobody is asked for trust, nothing is restricted, and no tour is given", `!document.querySelector('.monaco-dialog-box') && !document.querySelector('.part.statusbar').textContent.includes("Restricted") && document.querySelectorAll('.tab').length === 1`)
	l.runsCell(t, ctx, dir, python)

	leaves(ctx)
	do(t, ctx, chromedp.Reload())
	holds(t, ctx, "the workbench is there again", workbench)
	holds(t, ctx, "and its terminal, with what it had printed", inTerminal("42is"))
	shoot(t, ctx, "vscode-workbench")
	uri, err := os.ReadFile(filepath.Join(dir, "uri.txt"))
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate(strings.ReplaceAll(strings.TrimSpace(string(uri)), "{{port}}", "8501")+"?from=vscode"))
	holds(t, ctx, "what the terminal serves has an origin of its own", fmt.Sprintf(`location.href === "http://p8501--thesis--e2ealice.localhost:%d/?from=vscode" && document.body.textContent.includes("cell.ipynb")`, l.port))
}

// leaves answers a page that asks whether it may be left, as VS Code does
// while it has not kept yet how its windows stand.
func leaves(ctx context.Context) {
	asked := chromedp.Events(ctx, page.JavascriptDialogOpening)
	go func() {
		for _, err := range asked {
			if err == nil {
				_, err = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
			}
			if err != nil {
				return // the browser has gone
			}
		}
	}()
}

// runsCell: the notebook that is open shows its cell, which the kernel of the
// Python of the settings runs; that is the box's. What comes of it is shown, and saved.
func (l *lab) runsCell(t *testing.T, ctx context.Context, dir, python string) {
	t.Helper()
	holds(t, ctx, "the notebook is there, with its cell and its kernel", `document.querySelector('.notebook-editor .code-cell-row') && document.querySelector('.kernel-label')?.textContent.includes("The Python of the settings")`)
	run := `.notebook-toolbar-container a[aria-label^="Run All"]`
	holds(t, ctx, "it can be run", `document.querySelector('`+run+`')`)
	do(t, ctx, chromedp.Click(run))
	holds(t, ctx, "the cell has run", `document.querySelector('.notebook-editor .codicon-notebook-state-success')`)
	holds(t, ctx, "there is a view of what it printed", `document.querySelector('iframe.webview.ready')`)
	var kept struct {
		Cells []struct {
			Outputs []struct{ Data map[string][]string }
		}
	}
	l.until(60*time.Second, "that is in the notebook", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "cell.ipynb"))
		return err == nil && json.Unmarshal(text, &kept) == nil && len(kept.Cells) == 1 && len(kept.Cells[0].Outputs) == 1
	})
	if got := strings.Join(kept.Cells[0].Outputs[0].Data["text/plain"], ""); got != "'"+python+"'" {
		t.Errorf("the cell ran in %s, and the box's Python is that of %s", got, python)
	}
	shoot(t, ctx, "vscode-notebook")
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
	holds(t, ctx, "the terminal's shell asks for a command", inTerminal("$ "))
	do(t, ctx, chromedp.Click(`.terminal-wrapper .xterm-screen`)) // what else still opens may have taken the keyboard
	holds(t, ctx, "the terminal has the keyboard", `document.activeElement.matches('.terminal-wrapper .xterm-helper-textarea')`)
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
