package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBadNeighbour: rows C7, C8, C10, C14 and F9. Whatever a member does to the
// host by mistake, a colleague's cell answers, and so does the daemon.
func TestBadNeighbour(t *testing.T) {
	l := newLab(t)
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte("policy: {memory: 512MiB, pids: 300}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.kill()
	l.start()
	for _, who := range []string{"e2ealice", "e2ebob"} {
		l.must(who, "up", "--no-check", l.folder(l.member(who), "work", nil))
	}
	bobs := func(after string) {
		t.Helper()
		l.must("e2ebob", "check", "work") // a cell
		if out := l.must("e2ebob", "exec", "work", "--", "sh", "-c", "echo $((6*7))"); strings.TrimSpace(out) != "42" {
			t.Errorf("%s: bob's box says %q", after, out)
		}
	}
	inside := func(script string) result { return l.as("e2ealice", "exec", "work", "--", "sh", "-c", script) }

	// Processes without end: the kernel refuses one, and no more than her own.
	r := inside(`i=0; while [ $i -lt 1000 ]; do sleep 30 >/dev/null 2>&1 & i=$((i+1)); done`)
	bobs("a fork bomb")
	if !strings.Contains(r.errOut, "fork") && r.code == 0 {
		t.Errorf("a thousand processes were made: %d %s", r.code, r.errOut)
	}
	l.must("e2ealice", "stop", "work")
	l.must("e2ealice", "up", "--no-check", "work")

	// More memory than there is for her: her own process dies, not the host's.
	if r := inside(`head -c 900M /dev/zero | tail | wc -c`); strings.TrimSpace(r.out) == fmt.Sprint(900<<20) {
		t.Error("a box of 512 MiB held 900 MiB")
	}
	bobs("too much memory")

	// Every core busy, and a log without end, at once.
	busy := l.command("e2ealice", "", "exec", "work", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do timeout 10 sh -c 'while :; do :; done' & done; wait")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(l.must("e2ealice", "run", "-C", filepath.Join("/home/e2ealice", "work"), "-d", "--", "timeout", "8", "yes"))
	goes := func(phase string) func() bool {
		return func() bool { return strings.Contains(l.must("e2ealice", "runs", "--json"), `"phase": "`+phase+`"`) }
	}
	path := ""
	l.until(time.Minute, "her log is flooded", func() bool {
		out, err := exec.Command("docker", "inspect", "-f", "{{.LogPath}}", "masu-"+id).Output()
		path = strings.TrimSpace(string(out))
		info, serr := os.Stat(path)
		return err == nil && serr == nil && info.Size() > 0
	})
	bobs("while every core is busy and a log is flooded")
	var most int64
	l.until(time.Minute, "the flood has ended", func() bool {
		var size int64
		logs, _ := filepath.Glob(path + "*") // the pattern is a good one
		for _, f := range logs {
			if info, err := os.Stat(f); err == nil {
				size += info.Size()
			}
		}
		most = max(most, size)
		return goes("ended")()
	})
	_ = busy.Wait() // with timeout's exit code
	if most == 0 || most > 25<<20 {
		t.Errorf("her log took %d MiB of the disk", most>>20)
	}
	if info, err := os.Stat(filepath.Join(l.dir, "state", "runs", id+".log")); err != nil || info.Size() > 17<<20 {
		t.Errorf("what is kept of it: %+v, %v", info, err)
	}

	// Her shared memory is full, and so is what she writes to: it is hers.
	if r := inside("head -c 2G /dev/zero > /dev/shm/full"); r.code == 0 {
		t.Error("her shared memory has no end")
	}
	bobs("a full /dev/shm")
	if out := l.must("e2ebob", "exec", "work", "--", "ls", "/dev/shm"); strings.Contains(out, "full") {
		t.Error("bob sees her shared memory: T8")
	}
}

// TestEveryRoute is row T5, mechanically: whatever route takes the name of
// something, another's answers as one that never was, to the byte, and nothing
// of it changes.
func TestEveryRoute(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.member("e2ebob")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	w := l.only("e2ealice")
	run := strings.TrimSpace(l.must("e2ealice", "run", "-C", dir, "-d", "--", "sleep", "300"))
	pages := fmt.Sprintf("http://localhost:%d", l.port)
	var token struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(l.must("e2ealice", "token", "add", "--name", "hers", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	hers := token.ID
	if err := json.Unmarshal([]byte(l.must("e2ebob", "token", "add", "--name", "all", "--scope", "all", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name string }
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(withToken(t, pages+"/api/v1/openapi.json", token.Secret)), &document); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		var runs, tokens []struct{ ID, Phase string }
		for what, list := range map[string]any{"runs": &runs, "token": &tokens} {
			args := []string{what, "--json"}
			if what == "token" {
				args = []string{what, "ls", "--json"}
			}
			if err := json.Unmarshal([]byte(l.must("e2ealice", args...)), list); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprint(l.workspaces("e2ealice"), runs, tokens)
	}
	defer l.as("e2ealice", "runs", "cancel", run)
	l.until(3*time.Minute, "her run goes on", func() bool { return strings.Contains(state(), run+" running") })
	before := state()
	named := []string{"name", "id", "workspace", "lease", "ref"}
	asked := 0
	for path, methods := range document.Paths {
		for method, op := range methods {
			keys := map[string]bool{}
			for _, p := range op.Parameters {
				keys[p.Name] = true
			}
			for _, c := range op.RequestBody.Content {
				for p := range document.Components.Schemas[c.Schema.Ref[strings.LastIndex(c.Schema.Ref, "/")+1:]].Properties {
					keys[p] = true
				}
			}
			for _, key := range named {
				if !keys[key] || path == "/api/v1/tokens" || path == "/api/v1/runs" {
					continue // one's own new token and run have any name
				}
				for _, pair := range [][2]string{{w.ID, "zzzzzzzzzzzz"}, {"e2ealice/thesis", "e2ealice/absent"}, {"thesis", "absent"}, {run, "zzzzzzzzzzzy"}, {hers, "zzzzzzzzzzzx"}} {
					asked++
					code, theirs := askRoute(t, method, pages+path, token.Secret, keys, key, pair[0])
					none, never := askRoute(t, method, pages+path, token.Secret, keys, key, pair[1])
					if code != none || strings.ReplaceAll(theirs, pair[0], "X") != strings.ReplaceAll(never, pair[1], "X") {
						t.Errorf("%s %s, %s %s: %d %s\nand of one that never was: %d %s", method, path, key, pair[0], code, theirs, none, never)
					}
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d questions were asked", asked)
	}
	if after := state(); after != before {
		t.Errorf("something of hers has changed:\n%s\n%s", before, after)
	}
}

// askRoute asks with one name filled in, and whatever else the route knows left out or plain.
func askRoute(t *testing.T, method, address, secret string, keys map[string]bool, key, value string) (int, string) {
	t.Helper()
	body := map[string]any{key: value}
	for k, v := range map[string]any{"guest": "e2ebob", "change": map[string]any{}, "layer": map[string]any{"pip": []string{"six"}}, "by": int64(time.Hour), "argv": []string{"true"}, "text": "preset: python\n"} {
		if keys[k] {
			body[k] = v
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var in io.Reader = bytes.NewReader(b)
	if method == "get" {
		address, in = address+"?"+key+"="+value, nil
	}
	q, err := http.NewRequest(strings.ToUpper(method), address, in)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+secret)
	q.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestNoSecretIsLeft: rows L1, L3, L4, T11 and U4. After a day's work no
// password, token, code or cookie stands in what the daemon keeps, logs, passes
// to the engine or shows in the list of processes.
func TestNoSecretIsLeft(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.must("e2ealice", "up", "--no-check", l.folder(alice, "thesis", nil))
	const password = "correct horse battery"
	if r := l.asIn("e2ealice", "", password+"\n"+password+"\n", "passwd"); r.code != 0 {
		t.Fatalf("passwd: %s", r.errOut)
	}
	var token struct{ Secret string }
	if err := json.Unmarshal([]byte(l.must("e2ealice", "token", "add", "--name", "n", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	link := l.link("e2ealice")
	cookies := cookiesOf(t, link)
	pages := fmt.Sprintf("http://localhost:%d", l.port)
	fetch(t, http.MethodGet, pages+"/", cookies)
	fetch(t, http.MethodGet, pages+"/open/thesis/jupyter", cookies)
	withToken(t, pages+"/api/v1/workspaces", token.Secret)
	withToken(t, pages+"/api/v1/nothing?token="+token.Secret, token.Secret)
	l.must("e2ealice", "exec", "thesis", "--", "true")
	browser, _, _ := strings.Cut(l.must("e2ealice", "sessions"), "\t")
	l.must("e2ealice", "sessions", "rm", browser)
	if code, _ := fetch(t, http.MethodGet, pages+"/", cookies); code != http.StatusSeeOther {
		t.Errorf("signed out, and the page answers %d", code)
	}
	_, cookie, _ := strings.Cut(cookies, "=")
	_, code, _ := strings.Cut(link, "code=")
	secrets := map[string]string{"the password": password, "the token": token.Secret, "the session": cookie, "the link": code}
	clean := func(where string, text []byte) {
		t.Helper()
		for what, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
	err := filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		clean(path, b)
		if info, ierr := d.Info(); strings.HasPrefix(path, filepath.Join(l.dir, "state")) && (ierr != nil || info.Mode().Perm()&0o077 != 0 && filepath.Base(path) != "masu" && !strings.Contains(path, "agent")) {
			t.Errorf("others may touch %s: %v, %v", path, info.Mode(), ierr)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(l.dir, "state")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state's folder: %v, %v", info.Mode(), err)
	}
	clean("the engine's word on her box", []byte(docker(t, "inspect", "masu-"+l.only("e2ealice").ID)))
	ps, err := exec.Command("ps", "auxeww").Output()
	if err != nil {
		t.Fatal(err)
	}
	clean("the list of processes", ps)
	out := filepath.Join(alice.HomeDir, "out")
	l.must("e2ealice", "eject", "--to", out, filepath.Join(alice.HomeDir, "thesis"))
	tree, err := exec.Command("grep", "-r", "", out).Output()
	if err != nil {
		t.Fatal(err)
	}
	clean("what eject writes", tree)
}
