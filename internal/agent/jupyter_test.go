package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestOpenNotebooks: what Jupyter says is bounded, and cannot move a terminal's cursor.
func TestOpenNotebooks(t *testing.T) {
	answer := `[{"path":"b.ipynb","kernel":{"id":"2"}},{"path":"a\u001b[2J\n.ipynb","kernel":{"id":"1"}}]`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/api/sessions?no_track_activity=1" {
			http.NotFound(w, r)
		}
		io.WriteString(w, answer)
	}))
	defer web.Close()
	j := newJupyter(web.URL, nil)
	if got, err := j.notebooks(t.Context()); err != nil || !slices.Equal(got, []masu.OpenNotebook{{Kernel: "1", Path: "a[2J.ipynb"}, {Kernel: "2", Path: "b.ipynb"}}) {
		t.Errorf("%q, %v", got, err)
	}
	answer = `[` + strings.Repeat(`{"path":"`+strings.Repeat("あ", 300)+`"},`, 99) + `{}]`
	if got, err := j.notebooks(t.Context()); err != nil || len(got) != mostNotebooks || len([]rune(got[0].Path)) != mostPath {
		t.Errorf("%d, %v", len(got), err)
	}
	answer = `{"message": "no"}`
	if got, err := j.notebooks(t.Context()); err == nil {
		t.Errorf("%v", got)
	}
}

// TestLookAtJupyter: Jupyter is asked when something has passed, and else what it said holds on.
func TestLookAtJupyter(t *testing.T) {
	last := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kernels, count, asked, passed, broken := `[{"execution_state":"idle"}]`, "1", "", uint64(1), false
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/api/")
		asked += " " + name
		passed++ // a question passes too
		switch {
		case broken:
			http.Error(w, "not now", http.StatusInternalServerError)
		case name == "status":
			io.WriteString(w, `{"kernels":`+count+`,"last_activity":"`+last.Format(time.RFC3339)+`"}`)
		case name == "kernels":
			io.WriteString(w, kernels)
		case name == "sessions":
			io.WriteString(w, `[{"path":"a.ipynb","kernel":{"id":"1"}}]`)
		}
	}))
	defer web.Close()
	j := newJupyter(web.URL, func() (uint64, bool) { return passed, true })
	j.trails = 0
	now := last.Add(time.Hour)
	const all = " status kernels sessions"
	for _, step := range []struct {
		what    string
		do      func()
		asks    string
		active  time.Duration // before now; -1 for Jupyter's own word
		notOpen bool
	}{
		{"the first look", func() {}, all, -1, false},
		{"nothing has passed", func() {}, "", -1, false},
		{"a cell began", func() { passed, kernels = passed+9, `[{"execution_state":"idle"},{"execution_state":"busy"}]` }, all, 0, false},
		{"it computes and says nothing", func() {}, "", 0, false},
		{"Jupyter does not answer", func() { passed, broken = passed+1, true }, " status", 15 * time.Second, false},
		{"it answers again", func() { broken = false }, all, 0, false},
		{"the cell ended", func() { passed, kernels = passed+9, `[{"execution_state":"idle"}]` }, all, -1, false},
		{"the notebook was shut", func() { passed, count = passed+9, "0" }, " status", -1, true},
		{"nobody is there", func() {}, "", -1, true},
		{"a long while later", func() { now = now.Add(askedAnew) }, " status", -1, true},
	} {
		asked, now = "", now.Add(activityEvery)
		step.do()
		j.look(t.Context(), now)
		want := now.Add(-step.active)
		if step.active < 0 {
			want = last
		}
		if asked != step.asks || !j.active.Equal(want) || (len(j.open) == 0) != step.notOpen {
			t.Errorf("%s: asked %q, active %v, open %v", step.what, asked, now.Sub(j.active), j.open)
		}
	}
	j.passed = func() (uint64, bool) { return 0, false }
	for range 2 { // where the kernel does not count, each look asks
		asked = ""
		if j.look(t.Context(), now); asked != " status" {
			t.Errorf("asked %q", asked)
		}
	}
}

// TestSegments: what goes over the loopback is counted.
func TestSegments(t *testing.T) {
	before, known := segments()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	if resp, err := http.Get(web.URL); err != nil {
		t.Fatal(err)
	} else {
		_ = resp.Body.Close()
	}
	if after, _ := segments(); !known || after <= before {
		t.Errorf("%d segments, and then %d", before, after)
	}
}

func FuzzParseSegments(f *testing.F) {
	real, _ := os.ReadFile("/proc/net/snmp")
	f.Add(string(real))
	f.Add("Tcp: A InSegs\nTcp: 1 2\n")
	f.Add("Tcp: InSegs\nTcp:\nTcp: x")
	f.Fuzz(func(t *testing.T, table string) {
		if n, known := parseSegments(table); !known && n != 0 {
			t.Error(n)
		}
	})
}
