package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestHandover: alice leaves; the admin hands her workspace to bob on her page,
// files and all. Bob starts it as his own: her home and her folder are his, a
// cell of his writes there, and nothing of it is hers any more. Mallory, who
// would rather have had it, and more memory, gets neither; what the admin allows
// bob is what his box has.
func TestHandover(t *testing.T) {
	l := newLab(t)
	alice, bob := l.member("e2ealice"), l.member("e2ebob")
	l.member("e2emallory")
	l.member("e2eboss")
	l.must("root", "admin", "member", "e2eboss", "--role", "admin")
	if err := os.Chmod(alice.HomeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\nmemory: 2GiB\n", "data/a.csv": "1\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "mkdir -p ~/.cache/model && echo of-alice > ~/.cache/model/weights && ln -s /etc/shadow ~/shadow")

	refused := func(who, code string, args ...string) {
		t.Helper()
		if r := l.as(who, args...); r.code != 4 && !strings.Contains(r.errOut, code) || r.code == 0 {
			t.Errorf("%s: masu %v: %d %s", who, args, r.code, r.errOut)
		}
	}
	refused("e2emallory", "administrator", "admin", "handover", "e2ealice", "e2emallory", "--files")
	refused("e2emallory", "administrator", "admin", "handover", "e2ealice", "e2emallory", "--dry-run")
	refused("e2emallory", "administrator", "admin", "member", "e2emallory", "--memory", "64GiB")
	refused("root", "still runs", "admin", "handover", "e2ealice", "e2ebob")

	l.must("root", "admin", "member", "e2ealice", "--disable")
	refused("root", "disabled", "admin", "handover", "e2ebob", "e2ealice")
	link := l.link("e2eboss")
	pages := strings.TrimSuffix(strings.SplitAfter(link, "/enter")[0], "/enter")
	admin := browser(t, "en")
	do(t, admin, chromedp.Navigate(link), chromedp.Navigate(pages+"/admin/member/e2ealice"))
	holds(t, admin, "the page offers it", `document.querySelector('#to')`)
	do(t, admin, chromedp.SetValue(`#to`, "e2ebob"), chromedp.Click(`button[name="dry"]`))
	holds(t, admin, "it tells what would be, and how", `document.querySelector('#hd') && document.body.textContent.includes("sudo mv -nT -- /home/e2ealice/thesis /home/e2ebob/thesis")`)
	if _, err := os.Stat(dir); err != nil || l.phase("e2ebob", "thesis") != "" {
		t.Errorf("something was done although it was only asked: %v", err)
	}
	do(t, admin, chromedp.SetValue(`#to`, "e2ebob"), chromedp.Click(`#files`), chromedp.Click(`form[action$="/handover"] button.d`))
	holds(t, admin, "it is done", `document.querySelector('#hd')?.textContent.includes("Handed over to e2ebob") && !document.querySelector('input[name="workspace"]')`)

	his := filepath.Join(bob.HomeDir, "thesis")
	for _, path := range []string{his, filepath.Join(his, "data", "a.csv")} {
		if info, err := os.Lstat(path); err != nil || strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)) != bob.Uid {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("her folder is still there")
	}
	l.must("root", "admin", "member", "e2ebob", "--memory", "640MiB", "--cpus", "0.5")
	l.must("e2ebob", "up", "--no-check", his)
	l.must("e2ebob", "check", "thesis") // a cell
	out := l.must("e2ebob", "exec", "thesis", "--", "sh", "-c", `id -un; cat ~/.cache/model/weights; echo more >> ~/.cache/model/weights && echo 2 >> ~/work/data/a.csv && stat -c %U ~ ~/.cache/model/weights ~/shadow`)
	if want := "e2ebob\nof-alice\ne2ebob\ne2ebob\ne2ebob\n"; out != want {
		t.Errorf("in the box: %q, want %q", out, want)
	}
	if got := docker(t, "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", "masu-"+l.workspaces("e2ebob")[0].ID); got != "671088640 500000000" {
		t.Errorf("his box may take %s", got)
	}
	if r := l.as("e2ebob", "usage"); !strings.Contains(r.errOut, "memory of each box: 640 MiB") {
		t.Errorf("bob is not told what holds: %q", r.errOut)
	}
	if list := l.workspaces("e2emallory"); len(list) != 0 {
		t.Errorf("mallory has %+v", list)
	}
	l.must("root", "admin", "member", "e2ealice", "--enable")
	if list := l.workspaces("e2ealice"); len(list) != 0 {
		t.Errorf("she still has %+v", list)
	}
	if out := l.must("root", "audit", "--verb", "handover"); !strings.Contains(out, "e2ealice e2ebob") || !strings.Contains(out, "thesis--e2ealice thesis--e2ebob") || !strings.Contains(out, "e2ealice e2emallory") {
		t.Errorf("the log: %s", out)
	}
}
