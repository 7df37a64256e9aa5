package web

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	terminalPath   = reserved + "terminal"
	terminalWithin = 10 * time.Second

	// JupyterLab opens no terminal by an address, but restores the workspace that an
	// address names: so it is given one in which there is a terminal and nothing
	// else. It begins the terminal, or finds it as it was left.
	labTerminal = "/lab/workspaces/terminal"
	labLayout   = `{"metadata": {"id": "terminal"}, "data": {"terminal:masu": {"data": {"name": "masu"}}, "layout-restorer:data": {
		"main": {"current": "terminal:masu", "dock": {"type": "tab-area", "currentIndex": 0, "widgets": ["terminal:masu"]}},
		"down": {"size": 0, "widgets": []}, "left": {"collapsed": true, "visible": false, "widgets": []},
		"right": {"collapsed": true, "visible": false, "widgets": []}, "relativeSizes": [0, 1, 0]}}}`
	// The classic notebook does, and begins what is not there.
	classicTerminal = "/terminals/masu"
	// anyXSRF is a token that Jupyter takes: it wants the same one in a cookie and in
	// a header, which a page of another site could not send.
	anyXSRF = "6d617375"
)

// terminal goes to a terminal of the workspace's Jupyter, in whichever way that has one.
func (s *Server) terminal(w http.ResponseWriter, r *http.Request) {
	t, err := s.authorize(r)
	if at, _, _ := s.cfg.Origins.placeOf(r); err == nil && at.app != jupyter {
		err = masu.E(masu.NotFound, "no_page")
	}
	to := classicTerminal
	if err == nil {
		var lab bool
		if lab, err = layOut(r.Context(), t.Dial); lab {
			to = labTerminal
		}
	}
	if err != nil {
		s.refuseApp(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// layOut gives JupyterLab the workspace that terminal opens; false where there is no JupyterLab.
func layOut(ctx context.Context, dial func(context.Context) (net.Conn, error)) (lab bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, terminalWithin)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://127.0.0.1/lab/api/workspaces/terminal", strings.NewReader(labLayout))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cookie", "_xsrf="+anyXSRF)
	req.Header.Set("X-XSRFToken", anyXSRF)
	resp, err := client.Do(req)
	if err != nil {
		return false, masu.E(masu.Unreachable, "app_unreachable").Because(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode/100 == 2, nil
}
