package main

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) openCommand() *cobra.Command {
	var printOnly, pages bool
	c := a.command("open", "open [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.openWhat(ctx, s, args, pages)
			if err != nil {
				return err
			}
			link, err := s.Link(ctx, name)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(link)
			}
			hello, err := s.Whoami(ctx)
			if err != nil {
				return err
			}
			a.address(link, hello)
			if !printOnly {
				a.browse(ctx, link.URL)
			}
			return nil
		})
	})
	c.Flags().BoolVar(&pages, "pages", false, "")
	c.Flags().BoolVarP(&printOnly, "print", "p", false, "")
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}

// openWhat names the workspace to open: the named one, else that of the folder
// we are in; "" is the pages.
func (a *app) openWhat(ctx context.Context, s masu.Service, args []string, pages bool) (string, error) {
	if pages {
		return "", nil
	}
	if len(args) > 0 {
		return args[0], nil
	}
	return a.here(ctx, s)
}

// browse opens a link where a browser can show itself. Elsewhere, as over ssh,
// the printed address is all there is to do. The link goes by a file that only
// this user can read: arguments of a process are for every login to see, and
// the first who opens the link is signed in.
func (a *app) browse(ctx context.Context, link string) {
	_, tty := terminal(a.out)
	if !tty || !personal() || a.getenv("SSH_CONNECTION") != "" || a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	opener, err := exec.LookPath("xdg-open")
	if err != nil {
		return
	}
	page := filepath.Join(a.stateDir(), "open.html")
	if err := os.MkdirAll(filepath.Dir(page), 0o700); err != nil {
		return
	}
	text := `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=` + html.EscapeString(link) + `">`
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		return
	}
	_ = exec.CommandContext(ctx, opener, page).Run() // the address is on the screen already
}
