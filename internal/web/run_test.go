package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

const tinyPNG = "\x89PNG\r\n\x1a\nand more"

var notebookRun = masu.Run{ID: "r", Name: evil, Phase: masu.RunRunning, StartedAt: time.Now(), EndsAt: time.Now(), EndWhy: masu.EndIdle, Series: "s", Notebook: &masu.Notebook{Path: evil, Out: evil, Parameters: []string{evil}}}

// evilNotebook has everything in it that can be in a notebook, and that must not come through.
func evilNotebook() *notebook.Notebook {
	type m = map[string]any
	picture := base64.StdEncoding.EncodeToString([]byte(tinyPNG))
	code := func(times m, outputs ...any) m {
		return m{"cell_type": "code", "source": []string{evil + "\n", "2"}, "execution_count": 7, "metadata": m{"execution": times}, "outputs": outputs}
	}
	display := func(data m) m { return m{"output_type": "display_data", "data": data, "metadata": m{}} }
	many := make([]any, shownOutputs+3)
	for i := range many {
		many[i] = m{"output_type": "error", "ename": evil, "evalue": evil, "traceback": []string{"\x1b[31m" + evil + "\x1b[0m"}}
	}
	text, err := json.Marshal(m{"nbformat": 4, "nbformat_minor": 5, "metadata": m{}, "cells": []m{
		{"cell_type": "markdown", "source": "# " + evil, "metadata": m{}},
		code(m{notebook.Began: "2026-11-28T03:00:00Z", notebook.Ended: "2026-11-28T03:00:01Z"},
			m{"output_type": "stream", "name": "stdout", "text": strings.Repeat("a line\n", 4000) + evil},
			display(m{"text/html": "<b>html</b>" + evil, "text/plain": "instead of html" + evil}),
			display(m{"image/png": picture, "text/plain": "instead of a picture"}),
			display(m{"image/png": base64.StdEncoding.EncodeToString([]byte("<svg onload=alert(1)>")), "text/plain": "instead of a lie"}),
			display(m{"image/svg+xml": "<svg onload=alert(1)>"}),
			display(m{"application/javascript": "alert(1)"})),
		code(m{notebook.Began: "2026-11-28T03:00:01Z"}, many...),
		code(nil),
	}})
	if err != nil {
		panic(err)
	}
	nb, err := notebook.Parse(text)
	if err != nil {
		panic(err)
	}
	return nb
}

// TestRunPage: of a notebook only text and true pictures are shown.
func TestRunPage(t *testing.T) {
	p := newRunPage(masu.English, notebookRun, evilNotebook())
	if p.Runs != 3 || p.Begun != 2 || len(p.Cells) != 4 {
		t.Errorf("it counts %d of %d in %d", p.Begun, p.Runs, len(p.Cells))
	}
	if c := p.Cells[1]; c.Now || c.Ahead || c.Count != 7 || len(c.Outputs) != 4 || !c.Outputs[0].Cut || len(c.Outputs[0].Text) > shownText ||
		c.Outputs[1].Text != "instead of html"+evil || !strings.HasPrefix(c.Outputs[2].Picture, "/runs/r/picture/1/2?v=") || c.Outputs[3].Text != "instead of a lie" || c.Outputs[3].Picture != "" {
		t.Errorf("a cell that is over: %+v", c)
	}
	if c := p.Cells[2]; !c.Now || c.More != 3 || len(c.Outputs) != shownOutputs || !c.Outputs[0].Bad || c.Outputs[0].Text != evil {
		t.Errorf("the cell that runs: %+v", c)
	}
	if c := p.Cells[3]; c.Now || !c.Ahead {
		t.Errorf("a cell that has not begun: %+v", c)
	}
	over := notebookRun
	over.Phase = masu.RunCancelled
	if p := newRunPage(masu.English, over, evilNotebook()); p.Cells[2].Now || p.Refresh {
		t.Error("when the run is over a cell still runs")
	}
}

// TestRunPageOfMany: of many cells those around the one that runs are shown, and all are counted.
func TestRunPageOfMany(t *testing.T) {
	for _, c := range []struct{ cells, begun, before, shown, after int }{
		{0, 0, 0, 0, 0}, {3, 3, 0, 3, 0}, {shownCells, 150, 0, shownCells, 0}, {shownCells + 1, 0, 0, shownCells, 1},
		{1000, 501, 400, shownCells, 400}, {1000, 1000, 800, shownCells, 0},
	} {
		cells := make([]map[string]any, c.cells)
		for i := range cells {
			times := map[string]string{}
			if i < c.begun {
				times[notebook.Began] = "2026-11-28T03:00:00Z"
			}
			cells[i] = map[string]any{"cell_type": "code", "source": "x", "metadata": map[string]any{"execution": times}}
		}
		text, err := json.Marshal(map[string]any{"nbformat": 4, "cells": cells})
		if err != nil {
			t.Fatal(err)
		}
		nb, err := notebook.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p := newRunPage(masu.English, notebookRun, nb)
		if p.Before != c.before || len(p.Cells) != c.shown || p.After != c.after || p.Runs != c.cells || p.Begun != c.begun {
			t.Errorf("%+v: %d, %d shown, %d; %d of %d", c, p.Before, len(p.Cells), p.After, p.Begun, p.Runs)
		}
		if c.shown > 0 && p.Cells[0].Number != c.before+1 {
			t.Errorf("%+v: the first is number %d", c, p.Cells[0].Number)
		}
	}
}

// TestAround: few of large cells are shown, the one that runs among them.
func TestAround(t *testing.T) {
	cells := make([]cellView, 20)
	for i := range cells {
		cells[i].Outputs = []outputView{{Text: strings.Repeat("x", shownPage/5)}}
	}
	for at, want := range map[int][2]int{0: {0, 5}, 1: {0, 5}, 10: {8, 13}, 19: {15, 20}} {
		if from, to := around(cells, at); [2]int{from, to} != want {
			t.Errorf("around %d: %d to %d, want %v", at, from, to, want)
		}
	}
	if from, to := around(nil, 0); from != 0 || to != 0 {
		t.Errorf("around nothing: %d to %d", from, to)
	}
}

// TestRunNotebookInABrowser: a member sees a run's notebook and its pictures; nobody else does.
func TestRunNotebookInABrowser(t *testing.T) {
	g := newRig(t)
	dir := t.TempDir()
	text, err := evilNotebook().Bytes()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "train.ipynb"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	list, err := g.lab.As(masu.Actor{User: masu.User{Name: "alice"}}).Submit(t.Context(), masu.RunWish{Dir: dir, Notebook: &masu.Notebook{Path: "train.ipynb"}})
	if err != nil {
		t.Fatal(err)
	}
	at := "/runs/" + string(list[0].ID)
	b, bob := g.browser(), g.browser()
	b.signIn("alice")
	bob.signIn("bob")
	if a := b.get(at); a.StatusCode != http.StatusOK || strings.Contains(a.text, "/picture/") {
		t.Errorf("before it has begun: %s %s", a.Status, a.text)
	}
	if err := os.WriteFile(filepath.Join(dir, list[0].Notebook.Out), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := b.get(at + "/now"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, at+"/picture/1/2?v=") || strings.Contains(a.text, "<b>html") || strings.Contains(a.text, "<!doctype") {
		t.Errorf("its part: %s %s", a.Status, a.text)
	}
	a := b.get(at + "/picture/1/2")
	if a.StatusCode != http.StatusOK || a.text != tinyPNG || a.Header.Get("Content-Type") != "image/png" || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a picture: %s %v", a.Status, a.Header)
	}
	if a := b.get(at + "/picture/1/2?v=" + fingerprint([]byte(tinyPNG))); !strings.HasPrefix(a.Header.Get("Cache-Control"), "private, max-age=") {
		t.Errorf("a picture by its own address: %v", a.Header)
	}
	for _, path := range []string{"/picture/1/3", "/picture/1/1", "/picture/1/99", "/picture/-1/0", "/picture/9/0", "/picture/x/0"} {
		if a := b.get(at + path); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"", "/now", "/picture/1/2"} {
		if a := bob.get(at + path); a.StatusCode != http.StatusNotFound {
			t.Errorf("bob sees %s: %s", path, a.Status)
		}
	}
}

// aRun is the page of a notebook that runs by itself: two cells are over, one works, one is to come.
func aRun(t *testing.T, g *rig) string {
	t.Helper()
	dir := t.TempDir()
	curve := image.NewPaletted(image.Rect(0, 0, 480, 200), color.Palette{color.White, color.RGBA{0x1f, 0x6f, 0xb2, 255}, color.RGBA{0x99, 0x99, 0x99, 255}})
	for x := 30; x < 470; x++ {
		y := 165 - int(140*math.Exp(-float64(x-30)/110)) - (x/7*37)%11
		for i := range 3 {
			curve.SetColorIndex(x, y+i, 1)
		}
		curve.SetColorIndex(x, 185, 2)
	}
	var png64 bytes.Buffer
	if err := png.Encode(&png64, curve); err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	cell := func(source string, times m, outputs ...any) m {
		return m{"cell_type": "code", "source": source, "execution_count": 1, "metadata": m{"execution": times}, "outputs": append([]any{}, outputs...)}
	}
	stream := func(text string) m { return m{"output_type": "stream", "name": "stdout", "text": text} }
	began := time.Now().Add(-20 * time.Minute).UTC().Format(time.RFC3339)
	ended := time.Now().Add(-19 * time.Minute).UTC().Format(time.RFC3339)
	text, err := json.Marshal(m{"nbformat": 4, "nbformat_minor": 5, "metadata": m{}, "cells": []m{
		{"cell_type": "markdown", "source": "# BERT の追加学習\n\n日本語の評判分析。学習率は 3e-5。", "metadata": m{}},
		cell("import torch\nprint(torch.cuda.get_device_name())", m{notebook.Began: began, notebook.Ended: ended}, stream("NVIDIA A100 80GB PCIe\n")),
		cell("history = train(model, epochs=3)\nplot(history)", m{notebook.Began: began, notebook.Ended: ended}, stream("epoch 1  loss 0.412\nepoch 2  loss 0.237\nepoch 3  loss 0.181\n"),
			m{"output_type": "display_data", "data": m{"image/png": base64.StdEncoding.EncodeToString(png64.Bytes()), "text/plain": "<Figure size 480x200>"}, "metadata": m{}}),
		cell("evaluate(model, test)", m{notebook.Began: ended}, stream(" 62% ████████████▍       | 310/500\n")),
		cell("model.save_pretrained('out')", nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "train.ipynb"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := g.lab.As(masu.Actor{User: masu.User{Name: "alice"}}).Submit(t.Context(), masu.RunWish{Dir: dir, Name: "bert-finetune", Notebook: &masu.Notebook{Path: "train.ipynb"}})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, list[0].Notebook.Out), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.lab.mu.Lock()
	g.lab.goesOn = list[0].ID
	g.lab.mu.Unlock()
	return "/runs/" + string(list[0].ID)
}

// RunByID tells of one run that it goes on: the lab of these tests has nothing that executes notebooks.
func (a *fakeActor) RunByID(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	r, err := a.theirRuns.RunByID(ctx, id)
	return a.going(r), err
}

func (a *fakeActor) Runs(ctx context.Context, all bool) ([]masu.Run, error) {
	list, err := a.theirRuns.Runs(ctx, all)
	for i, r := range list {
		list[i] = a.going(r)
	}
	return list, err
}

func (a *fakeActor) going(r masu.Run) masu.Run {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.ID != "" && r.ID == a.goesOn {
		r.Phase, r.Code, r.EndedAt, r.Trouble = masu.RunRunning, 0, time.Time{}, nil
		r.StartedAt = time.Now().Add(-21 * time.Minute)
	}
	return r
}

// TestRunThatEnds: a run whose GPUs will be taken back says when and why, in both languages.
func TestRunThatEnds(t *testing.T) {
	at := time.Date(2026, 11, 28, 15, 4, 0, 0, time.Local)
	r := masu.Run{ID: "abcdefghijkl", Name: "train", Phase: masu.RunRunning, EndsAt: at, EndWhy: masu.EndIdle}
	for lang, want := range map[masu.Lang]string{masu.English: "masu extend abcdefghijkl", masu.Japanese: "まだ必要なら知らせてください: masu extend abcdefghijkl"} {
		if v := newRun(lang, r); v.Ends != "15:04" || !strings.Contains(v.EndWhy, want) {
			t.Errorf("%s: %q, %q", lang, v.Ends, v.EndWhy)
		}
	}
}
