package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

// What of one cell is shown at most: a phone reads the end of an output, and
// the whole is in the notebook.
const (
	shownText    = 16 << 10 // bytes of a text
	shownOutputs = 50
	shownCells   = 200     // around the one that runs
	shownPage    = 4 << 20 // bytes of the texts of all of them
)

// pictureFor is how long a browser keeps a picture, so that it is not fetched
// anew each time that the page goes on.
const pictureFor = 600

// runPage is one run, with its notebook as it grows.
type runPage struct {
	base
	Run     runView
	Out     string // the notebook, from the project folder
	Cells   []cellView
	Before  int // cells that are not shown, above them
	After   int // and below
	Begun   int // cells that have begun
	Runs    int // cells that there are to run
	Graphs  useGraphs
	Problem *problem

	run masu.Run
}

// cellView is a cell of it.
type cellView struct {
	Number  int // its place in the notebook
	Code    bool
	Source  string
	Count   int
	Now     bool // it runs
	Ahead   bool // it has not begun
	Outputs []outputView
	More    int // outputs that are not shown
}

// outputView is one of its outputs: text, or a picture.
type outputView struct {
	Text    string
	Cut     bool // its beginning is missing
	Bad     bool
	Picture string // its address
}

func (*runPage) template() string         { return "run" }
func (v *runPage) title(masu.Lang) string { return v.Run.Name }

func newRunPage(lang masu.Lang, r masu.Run, nb *notebook.Notebook) *runPage {
	v := &runPage{Run: newRun(lang, r), run: r}
	v.Refresh = !r.Over()
	if r.Notebook != nil {
		v.Out = r.Notebook.Out
	}
	if nb == nil {
		return v
	}
	last := 0
	for i, c := range nb.Cells {
		_, begun := c.When(notebook.Began)
		if c.Runs() {
			v.Runs++
			if begun {
				v.Begun++
			}
		}
		if begun {
			last = i
		}
	}
	v.Before = max(0, min(last-shownCells/2, len(nb.Cells)-shownCells))
	shown := nb.Cells[v.Before:min(len(nb.Cells), v.Before+shownCells)]
	for i, c := range shown {
		v.Cells = append(v.Cells, newCell(r, v.Before+i, c))
	}
	from, to := around(v.Cells, last-v.Before)
	v.Before, v.Cells = v.Before+from, v.Cells[from:to]
	v.After = len(nb.Cells) - v.Before - len(v.Cells)
	return v
}

// around tells which cells beside one are shown: as many as a page's bytes allow.
func around(cells []cellView, at int) (from, to int) {
	left := shownPage
	fits := func(i int) bool {
		if i < 0 || i >= len(cells) {
			return false
		}
		n := len(cells[i].Source)
		for _, o := range cells[i].Outputs {
			n += len(o.Text)
		}
		if n > left {
			return false
		}
		left -= n
		return true
	}
	from, to = at, at
	for above, below := true, true; above || below; {
		if below = fits(to); below {
			to++
		}
		if above = fits(from - 1); above {
			from--
		}
	}
	return from, to
}

func newCell(r masu.Run, i int, c *notebook.Cell) cellView {
	v := cellView{Number: i + 1, Code: c.Kind == notebook.Code, Count: c.Count()}
	v.Source, _ = lastOf(c.Source)
	_, begun := c.When(notebook.Began)
	_, ended := c.When(notebook.Ended)
	v.Now = begun && !ended && r.Phase == masu.RunRunning
	v.Ahead = c.Runs() && !begun
	list := c.Outputs()
	if len(list) > shownOutputs {
		v.More = len(list) - shownOutputs
		list = list[:shownOutputs]
	}
	for k, o := range list {
		out := outputView{Bad: o.Kind == notebook.Failure}
		if _, picture := o.Image(); picture != nil {
			out.Picture = fmt.Sprintf("/runs/%s/picture/%d/%d?v=%s", r.ID, i, k, fingerprint(picture))
		} else if out.Text, out.Cut = lastOf(o.Text()); out.Text != "" {
			out.Text = plain(out.Text)
		}
		if out.Text == "" && out.Picture == "" {
			continue
		}
		v.Outputs = append(v.Outputs, out)
	}
	return v
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// lastOf gives the end of a text that is too long to be shown, from the beginning of a line on.
func lastOf(s string) (end string, cut bool) {
	s = strings.TrimRight(s, "\n")
	if len(s) <= shownText {
		return s, false
	}
	s = s[len(s)-shownText:]
	if _, rest, ok := strings.Cut(s, "\n"); ok {
		s = rest
	}
	return strings.ToValidUTF8(s, ""), true
}

var terminalCodes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// plain takes a terminal's colours and its other commands out of a text.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, terminalCodes.ReplaceAllString(s, ""))
}

func (s *Server) newRunPage(r *http.Request, v *visit) (*runPage, error) {
	run, err := v.service.RunByID(r.Context(), masu.WorkspaceID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	lang := s.lang(r, v)
	if run.Notebook == nil {
		return newRunPage(lang, run, nil), nil
	}
	nb, err := s.notebook(r, v, run)
	view := newRunPage(lang, run, nb)
	if err != nil { // the run goes on, whatever became of its file
		s.log(r, err)
		view.Problem = newProblem(lang, err)
	}
	return view, nil
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, err := s.newRunPage(r, v)
	if err != nil {
		return err
	}
	if view.Graphs, err = s.runGraphs(r, v, view.run); err != nil {
		return err
	}
	return s.show(w, r, v, http.StatusOK, view)
}

// runUse gives the graphs of a run, for the page's script.
func (s *Server) runUse(w http.ResponseWriter, r *http.Request, v *visit) error {
	run, err := v.service.RunByID(r.Context(), masu.WorkspaceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	graphs, err := s.runGraphs(r, v, run)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "graphs", graphs)
}

func (s *Server) runGraphs(r *http.Request, v *visit, run masu.Run) (useGraphs, error) {
	if run.StartedAt.IsZero() {
		return useGraphs{}, nil
	}
	list, err := v.service.RunSamples(r.Context(), run.ID)
	return newRunGraphs(s.lang(r, v), run, list, time.Now()), err
}

// runNow is the part that moves.
func (s *Server) runNow(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, err := s.newRunPage(r, v)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "runnow", view)
}

// runPicture gives a picture of a notebook's. It is nothing else, whatever the notebook says.
func (s *Server) runPicture(w http.ResponseWriter, r *http.Request, v *visit) error {
	run, err := v.service.RunByID(r.Context(), masu.WorkspaceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	nb, err := s.notebook(r, v, run)
	if err != nil {
		return err
	}
	cell, err1 := strconv.Atoi(r.PathValue("cell"))
	output, err2 := strconv.Atoi(r.PathValue("output"))
	if nb == nil || err1 != nil || err2 != nil || cell < 0 || cell >= len(nb.Cells) {
		return masu.E(masu.NotFound, "no_page")
	}
	list := nb.Cells[cell].Outputs()
	if output < 0 || output >= len(list) {
		return masu.E(masu.NotFound, "no_page")
	}
	kind, picture := list[output].Image()
	if picture == nil {
		return masu.E(masu.NotFound, "no_page")
	}
	w.Header().Set("Content-Type", kind)
	if r.URL.Query().Get("v") == fingerprint(picture) {
		w.Header().Set("Cache-Control", fmt.Sprintf("private, max-age=%d, immutable", pictureFor))
	}
	_, _ = w.Write(picture) // it may have gone already
	return nil
}
