package main

import (
	"cmp"
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// editors are the commands of VS Code's kind, and the scheme of each one's links.
var editors = map[string]string{"code": "vscode", "code-insiders": "vscode-insiders", "codium": "vscodium", "cursor": "cursor"}

// codeCommand opens a workspace in the member's own editor.
func (a *app) codeCommand() *cobra.Command {
	var editor string
	var attach, printOnly bool
	c := a.command("code", "code [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		scheme, ok := editors[editor]
		if !ok {
			return masu.E(masu.Invalid, "editor_unknown", editor, strings.Join(slices.Sorted(maps.Keys(editors)), ", "))
		}
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			w, err := s.Workspace(ctx, name)
			if err != nil {
				return err
			}
			at, err := a.editorPlace(ctx, s, w, attach)
			if err != nil {
				return err
			}
			program, err := exec.LookPath(editor)
			if err != nil || printOnly {
				a.print(scheme + "://vscode-remote/" + at)
				if !attach {
					a.note("code_link", w.Name+sshSuffix)
				}
				return nil
			}
			if !attach {
				if err := a.ensureSSHConfig(); err != nil {
					return err
				}
			}
			a.note("code_opens", w.Name, editor)
			return a.runEditor(ctx, program, "--folder-uri", "vscode-remote://"+at)
		})
	})
	c.Flags().StringVar(&editor, "editor", cmp.Or(a.getenv("MASU_EDITOR"), "code"), "")
	c.Flags().BoolVar(&attach, "attach", false, "")
	c.Flags().BoolVarP(&printOnly, "print", "p", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}

// editorPlace is where the editor goes. By the engine's socket only those may
// who can do anything on that machine anyway.
func (a *app) editorPlace(ctx context.Context, s masu.Service, w masu.Workspace, attach bool) (string, error) {
	hello, err := s.Whoami(ctx)
	switch {
	case err != nil:
		return "", err
	case attach && !hello.Actor.Admin && !hello.Personal:
		return "", masu.E(masu.Denied, "attach_denied")
	case attach && a.server != nil:
		return w.EditorByEngine(a.server.String()), nil
	case attach:
		return w.EditorByEngine(""), nil
	case w.Owner != hello.Actor.Name || w.Adopted != nil:
		return "", masu.E(masu.Invalid, "code_not_yours", w.Name)
	}
	return w.EditorBySSH(), nil
}

// ensureSSHConfig makes ssh know the workspaces by their names, if it does not yet.
func (a *app) ensureSSHConfig() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path, err := writeSSHConfig(a.home(), sshBlock(a.again(self), ""))
	if err != nil {
		return masu.E(masu.Invalid, "cannot_write", path).Because(err)
	}
	return nil
}

func (a *app) runEditor(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = a.err, a.err
	if err := cmd.Run(); err != nil {
		return masu.E(masu.Unreachable, "editor_failed_here", program).Because(err)
	}
	return nil
}
