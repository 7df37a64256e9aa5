package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestMainJob is the whole promise in one story: a member starts a workspace
// from the terminal, signs in to the page by a one-time link, runs a cell in
// JupyterLab as themselves, finds its file on the host as their own, stops,
// starts again, and has lost nothing.
func TestMainJob(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", nil)

	l.must("e2ealice", "up", dir)
	ctx := browser(t, "en")
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "the page shows the workspace", `document.body.textContent.includes("thesis")`)
	if at := where(ctx); strings.Contains(at, "code=") {
		t.Errorf("the one-time code stayed in the address: %s", at)
	}
	shoot(t, ctx, "home-en")
	openApp(t, ctx, "jupyter")
	want := fmt.Sprintf("42 %s", alice.Uid)
	if got := runCell(t, ctx, `import os; print(6*7, os.getuid()); open("made-here.txt", "w").write("hi"); os.system("touch ~/in-my-home")`); got != want {
		t.Errorf("the cell printed %q, want %q", got, want)
	}
	shoot(t, ctx, "lab")
	made := filepath.Join(dir, "made-here.txt")
	st, err := os.Stat(made)
	if err != nil {
		t.Fatalf("the cell's file is not on the host: %v", err)
	}
	if uid := fmt.Sprint(st.Sys().(*syscall.Stat_t).Uid); uid != alice.Uid {
		t.Errorf("%s belongs to uid %s, not to alice (%s)", made, uid, alice.Uid)
	}

	under := browser(t, "ja") // the first one has an unsaved notebook, and would be asked about it
	do(t, under, chromedp.Navigate(l.link("e2ealice")))
	holds(t, under, "she is in", `document.querySelector('a[href="/w/thesis"]')`)
	pages := strings.Split(l.link("e2ealice"), "/enter")[0]
	l.worksUnderTheBar(under, pages, "e2ealice", "thesis")

	l.must("e2ealice", "stop", "thesis")
	if p := l.phase("e2ealice", "thesis"); p != "stopped" {
		t.Errorf("after stop the workspace is %q", p)
	}
	l.must("e2ealice", "up", dir)
	if out := l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "ls ~/in-my-home && cat ~/work/made-here.txt"); !strings.Contains(out, "in-my-home") || !strings.Contains(out, "hi") {
		t.Errorf("after stop and start the member finds %q", out)
	}
}
