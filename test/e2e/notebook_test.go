package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// notebookOf is a notebook of code cells.
func notebookOf(t *testing.T, cells ...string) string {
	t.Helper()
	type m = map[string]any
	list := []m{{"cell_type": "markdown", "metadata": m{}, "source": "# 学習"}}
	for i, c := range cells {
		meta := m{}
		if i == 0 {
			meta["tags"] = []string{"parameters"}
		}
		list = append(list, m{"cell_type": "code", "metadata": meta, "source": c, "outputs": []m{}, "execution_count": nil})
	}
	text, err := json.Marshal(m{"nbformat": 4, "nbformat_minor": 4, "metadata": m{"kernelspec": m{"name": "another-conda", "language": "python", "display_name": "x"}}, "cells": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// picture is a small image, in base64.
func picture(t *testing.T) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 600, 200))
	for x := range 600 {
		for y := range 200 {
			img.Set(x, y, color.RGBA{33, uint8(y), uint8(x / 3), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// runState is how a run of the member's stands.
func (l *lab) runState(who, id string) (r struct {
	Phase string
	Code  int
	CPU   time.Duration
}) {
	l.t.Helper()
	var list []struct {
		ID, Phase string
		Code      int
		Used      struct{ CPU time.Duration }
	}
	if err := json.Unmarshal([]byte(l.must(who, "runs", "--json")), &list); err != nil {
		l.t.Fatal(err)
	}
	for _, x := range list {
		if x.ID == id {
			r.Phase, r.Code, r.CPU = x.Phase, x.Code, x.Used.CPU
		}
	}
	return r
}

// TestNotebookByItself: a notebook goes on with the laptop closed and over the
// daemon's death, is looked at from a phone while it runs, and keeps every output.
func TestNotebookByItself(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	input := notebookOf(t, "lr = 1", "import os\nprint('begun as', os.getuid(), 'with', lr, flush=True)",
		"import base64\nfrom IPython.display import Image, HTML, display\ndisplay(Image(base64.b64decode('"+picture(t)+"')))\ndisplay(HTML('<b id=html>html</b>'))",
		"import time\nstep = 0\nwhile not os.path.exists('go'):\n    step += 1\n    print('\\rstep', step, '.' * 200, end='', flush=True)\n    time.sleep(0.2)",
		"open('model.txt', 'w').write('trained')\n6 * 7")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n", "train.ipynb": input,
		"fails.ipynb": notebookOf(t, "print('before')", "1 / 0", "print('never')"), "long.ipynb": notebookOf(t, "print('waits', flush=True)", "import time\ntime.sleep(600)")})
	out := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name)) // not there yet
		return string(text)
	}
	id := strings.TrimSpace(l.must("e2ealice", "run", "-C", dir, "-d", "--name", "train", "-p", "lr=0.25", "train.ipynb"))
	result := "train.run-" + id + ".ipynb"
	l.until(3*time.Minute, "its output is in the notebook", func() bool { return strings.Contains(out(result), "begun as "+alice.Uid+" with 0.25") })
	l.kill()
	l.start()
	if s := l.runState("e2ealice", id); s.Phase != "running" {
		t.Errorf("after the daemon's death it is %+v", s)
	}

	ctx := browser(t, "ja")
	do(t, ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "signed in", `document.querySelector('nav a[href="/runs"]')`)
	do(t, ctx, chromedp.Click(`nav a[href="/runs"]`))
	holds(t, ctx, "the run is listed", `document.querySelector('.card h2 a')`)
	do(t, ctx, chromedp.Click(`.card h2 a`))
	holds(t, ctx, "what it has printed is shown", `document.body.textContent.includes('begun as')`)
	holds(t, ctx, "its picture is shown", `document.querySelector('img.pic')?.naturalWidth === 600`)
	holds(t, ctx, "the cell that runs is marked", `document.querySelector('.cell.now')?.textContent.includes('step')`)
	holds(t, ctx, "nothing is wider than the phone", `document.documentElement.scrollWidth <= 390`)
	if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!document.getElementById('html')`)); err != nil || !ok {
		t.Errorf("the notebook's HTML is in the page (%v)", err)
	}
	shoot(t, ctx, "run-phone-ja")
	do(t, ctx, chromedp.ScrollIntoView(`.cell.now`))
	shoot(t, ctx, "run-phone-now-ja")
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l.until(60*time.Second, "it has ended", func() bool { return l.runState("e2ealice", id).Phase == "ended" })
	holds(t, ctx, "the page has gone on by itself", `document.body.textContent.includes('(0)') && [...document.querySelectorAll('.res')].at(-1).textContent === '42'`)
	shoot(t, ctx, "run-phone-over-ja")

	if s := l.runState("e2ealice", id); s.Code != 0 || s.CPU <= 0 {
		t.Errorf("it ended as %+v", s)
	}
	if st, err := os.Stat(filepath.Join(dir, result)); err != nil || strconv.Itoa(int(st.Sys().(*syscall.Stat_t).Uid)) != alice.Uid {
		t.Errorf("the notebook is not hers: %v, %v", st, err)
	}
	if out("train.ipynb") != input || out("model.txt") != "trained" {
		t.Error("the notebook itself was changed, or its work was not done")
	}
	if log := l.must("e2ealice", "runs", "log", id); !strings.Contains(log, "begun as") || !strings.Contains(log, "6") {
		t.Errorf("its log: %q", log)
	}

	if r := l.as("e2ealice", "run", "-C", dir, "fails.ipynb", "-o", "failed.ipynb"); r.code != 1 || !strings.Contains(r.out, "before") {
		t.Errorf("one that raises, attached: %d\n%s%s", r.code, r.out, r.errOut)
	}
	if text := out("failed.ipynb"); !strings.Contains(text, "before") || !strings.Contains(text, `"ename": "ZeroDivisionError"`) || strings.Contains(text, `"never\n"`) {
		t.Errorf("what it has left: %s", text)
	}
	id = strings.TrimSpace(l.must("e2ealice", "run", "-C", dir, "-d", "long.ipynb"))
	result = "long.run-" + id + ".ipynb"
	l.until(time.Minute, "it waits", func() bool { return strings.Contains(out(result), `"waits\n"`) })
	l.must("e2ealice", "runs", "cancel", id)
	if text := out(result); !strings.Contains(text, "waits") || !json.Valid([]byte(text)) {
		t.Errorf("cancelled: %s", text)
	}
}
