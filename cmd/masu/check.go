package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kernel"
)

// checkCell is computed in the notebook; its result cannot be a constant of the page.
const checkCell = `import os, sys; print(f"6 × 7 = {6*7}, uid {os.getuid()}, {os.getcwd()}, Python {sys.version.split()[0]}")`

// checkTime bounds a check: importing Jupyter on a busy machine takes seconds, not minutes.
const checkTime = 2 * time.Minute

// checked is a cell that ran through a browser's door.
type checked struct {
	Output string
	Enter  time.Duration // from the link to the app's origin
	kernel.Result
}

func (c checked) took() time.Duration { return c.Enter + c.Kernel + c.Took }

// MarshalJSON gives times as seconds.
func (c checked) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Output string  `json:"output"`
		Enter  float64 `json:"enter_s"`
		Kernel float64 `json:"kernel_s"`
		Cell   float64 `json:"cell_s"`
		Total  float64 `json:"total_s"`
	}{c.Output, c.Enter.Seconds(), c.Kernel.Seconds(), c.Took.Seconds(), c.took().Seconds()})
}

func (a *app) checkCommand() *cobra.Command {
	cell := checkCell
	c := a.command("check", "check [NAME]", groupServer, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			w, err := s.Workspace(ctx, name)
			if err != nil {
				return err
			}
			if w.Phase != masu.Running {
				return masu.E(masu.Conflict, "up_not_running", w.Name, a.phase(w.Phase))
			}
			result, err := a.tryCell(ctx, s, name, cell)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(result)
			}
			a.print(result.Output)
			a.note("check_times", elapsed(result.took()), elapsed(result.Enter), elapsed(result.Kernel), elapsed(result.Took))
			return nil
		})
	})
	c.Flags().StringVar(&cell, "cell", cell, "")
	c.Flags().Lookup("cell").DefValue = ""
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}

// tryCell enters a workspace by a one-time link, as a browser would, and runs a cell there.
func (a *app) tryCell(ctx context.Context, s masu.Service, name, cell string) (checked, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, masu.E(masu.Unreachable, "check_slow", elapsed(checkTime)))
	defer cancel()
	begin := time.Now()
	link, err := s.Link(ctx, name)
	if err != nil {
		return checked{}, err
	}
	if err := a.reach(ctx, link.URL); err != nil {
		return checked{}, err
	}
	client, err := a.browser()
	if err != nil {
		return checked{}, err
	}
	defer client.CloseIdleConnections()
	origin, err := enter(ctx, client, link.URL)
	if err != nil {
		return checked{}, timeout(ctx, err)
	}
	c := checked{Enter: time.Since(begin)}
	c.Result, err = (&kernel.Client{HTTP: client, Base: origin}).Run(ctx, cell)
	c.Output = strings.TrimSpace(c.Result.Output)
	return c, timeout(ctx, err)
}

// timeout prefers our own reason to "context deadline exceeded".
func timeout(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// browser is an HTTP client with a browser's habits: cookies, redirects, and
// every name below localhost is this machine, or what is forwarded to it.
func (a *app) browser() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if host == "localhost" || strings.HasSuffix(host, ".localhost") {
				if a.pages != nil {
					return a.pages.Dial(ctx)
				}
				address = net.JoinHostPort("127.0.0.1", port)
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}, nil
}

// alone is the address of an app without the bar, for an address of the page that shows the app under it.
func alone(at *url.URL) (address string, bar bool) {
	name, app, bar := strings.Cut(strings.TrimPrefix(at.Path, "/w/"), "/app/")
	return at.ResolveReference(&url.URL{Path: "/open/" + name + "/" + app}).String(), bar && strings.HasPrefix(at.Path, "/w/")
}

// enter follows a one-time link and gives the origin where it ends.
func enter(ctx context.Context, client *http.Client, link string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return "", masu.E(masu.Unreachable, "door_closed", "URL") // without its cause, which quotes the secret
	}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := err.(*url.Error); ok {
			err = e.Err // the URL holds the secret: it must not come to the screen or a log
		}
		return "", masu.E(masu.Unreachable, "door_closed", req.URL.Host).Because(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection is used again
	at := resp.Request.URL
	if app, bar := alone(at); bar && resp.StatusCode == http.StatusOK {
		return enter(ctx, client, app)
	}
	if resp.StatusCode != http.StatusOK {
		return "", masu.E(masu.Unreachable, "door_closed", at.Host+at.Path+" → "+resp.Status)
	}
	return at.Scheme + "://" + at.Host, nil
}
