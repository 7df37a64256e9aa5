package main

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
			hello, err := s.Whoami(ctx)
			if err != nil {
				return err
			}
			var win *window
			if !a.json {
				if win, err = a.pagesHere(ctx, hello); err != nil {
					return err
				}
			}
			link, err := a.oneTimeLink(ctx, s, name, win)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(link)
			}
			return a.show(ctx, link, hello, win, name, !printOnly)
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

// oneTimeLink makes a link; through a window, where there is one.
func (a *app) oneTimeLink(ctx context.Context, s masu.Service, name string, win *window) (masu.OpenLink, error) {
	link, err := s.Link(ctx, name)
	if err == nil && win != nil {
		link.URL = win.here(link.URL)
	}
	return link, err
}

// show prints a link and opens it, and holds the window to a server elsewhere open.
func (a *app) show(ctx context.Context, link masu.OpenLink, hello masu.Hello, win *window, name string, browse bool) error {
	if _, local := loopbackPort(hello.Pages); local && a.server != nil && win == nil {
		a.note("link_far", name, a.server.Host)
		return nil
	}
	a.address(link, hello)
	if win == nil {
		if browse {
			a.browse(ctx, link.URL)
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.keepPages(ctx, win) })
	if browse {
		a.browse(ctx, link.URL)
	}
	return g.Wait()
}

// browse opens a link where a browser can show itself. Elsewhere, as over ssh,
// the printed address is all there is to do. The link goes by a file that only
// this user can read: arguments of a process are for every login to see, and
// the first who opens the link is signed in.
func (a *app) browse(ctx context.Context, link string) {
	opener, ok := a.opener()
	if !ok {
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
	argv := append(opener, page)
	_ = exec.CommandContext(ctx, argv[0], argv[1:]...).Run() // the address is on the screen already
}

// opener is the program that shows a file in the desktop's browser, if a person sits at one.
func (a *app) opener() (argv []string, ok bool) {
	if _, tty := terminal(a.out); !tty || !personal() || a.getenv("SSH_CONNECTION") != "" {
		return nil, false
	}
	switch runtime.GOOS {
	case "windows":
		argv = []string{"rundll32", "url.dll,FileProtocolHandler"}
	case "darwin":
		argv = []string{"open"}
	default:
		if a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "" {
			return nil, false
		}
		argv = []string{"xdg-open"}
	}
	program, err := exec.LookPath(argv[0])
	argv[0] = program
	return argv, err == nil
}
