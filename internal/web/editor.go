package web

import (
	"html/template"

	"github.com/masu-lab/masu"
)

// editorView opens the workspace in the editor on the member's own machine.
type editorView struct {
	SSH    template.URL // "" where it is not the member's own to enter
	Setup  string       // the command that makes ssh on a laptop know the workspaces
	Attach template.URL // for those who have the engine's socket; "" for others
}

// editorLink is what a browser gives to VS Code; its parts are of letters, digits and a few signs only.
func editorLink(place string) template.URL { return template.URL("vscode://vscode-remote/" + place) }

func newEditor(w masu.Workspace, hello masu.Hello) (e editorView) {
	if w.Owner == hello.Actor.Name && w.Adopted == nil {
		e.SSH = editorLink(w.EditorBySSH())
		e.Setup = "ssh " + hello.HostName + " masu ssh-config --via " + hello.HostName + " >>~/.ssh/config"
	}
	if hello.Actor.Admin || hello.Personal {
		e.Attach = editorLink(w.EditorByEngine(""))
	}
	return e
}
