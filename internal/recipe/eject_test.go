package recipe

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// lab is a project as a member might have it.
var lab = masu.Project{
	Dir:         "/home/taro/Transformer 実験",
	Environment: guide,
	Want:        masu.Want{Count: 1},
	Variables:   map[string]string{"HF_HOME": "~/work/.hf", "ODD": `a"b$c\d`},
	Limits:      masu.Limits{Shm: 8 * masu.GiB},
}

func TestEjectGolden(t *testing.T) {
	files, err := Eject(EjectConfig{Project: lab, Host: rtx})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "eject/Dockerfile", files[0].Text)
	golden(t, "eject/rest.txt", written(files[1:]))
	has := map[string]masu.File{}
	for _, f := range files {
		if _, twice := has[f.Path]; twice {
			t.Errorf("%s is there twice", f.Path)
		}
		has[f.Path] = f
		if strings.Contains(strings.ToLower(f.Text), "masu") {
			t.Errorf("%s speaks of masu, and shall stand without", f.Path)
		}
		if f.Path != "setup/apt.sh" && strings.HasSuffix(f.Path, ".sh") && strings.Count(f.Path, "/") == 0 && f.Mode != 0o755 {
			t.Errorf("%s cannot be run", f.Path)
		}
	}
	for _, name := range []string{"Dockerfile", "compose.yml", ".env", "docker_build.sh", "docker_run.sh", "compose_up.sh", "requirements.txt",
		"scripts/jupyter_notebook_config.py", "scripts/set_passwd.sh", ".devcontainer/devcontainer.json", ".dockerignore"} {
		if _, ok := has[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	var compose struct {
		Services map[string]struct {
			Image   string
			Build   struct{ Args map[string]string }
			Ports   []string
			Volumes []string
			Deploy  map[string]any
		}
		Volumes map[string]any
	}
	if err := yaml.Load([]byte(has["compose.yml"].Text), &compose); err != nil {
		t.Fatal(err)
	}
	s := compose.Services["lab"]
	if len(s.Ports) != 2 || len(s.Volumes) != 2 || len(s.Build.Args) != 3 || s.Deploy == nil || s.Image == "" {
		t.Errorf("compose.yml: %+v", compose)
	}
	var dev map[string]any
	if err := json.Unmarshal([]byte(has[".devcontainer/devcontainer.json"].Text), &dev); err != nil {
		t.Fatal(err)
	}
	if d := has["Dockerfile"].Text; strings.Contains(d, "--mount") || !strings.Contains(d, "ARG USER_UID") {
		t.Errorf("the Dockerfile needs a newer builder, or lacks the account:\n%s", d)
	}
}

func TestEjectWithoutGPU(t *testing.T) {
	p := lab
	p.Want, p.Name = masu.Want{}, "bert"
	files, err := Eject(EjectConfig{Project: p, Host: rtx})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(f.Text, "nvidia\n") || strings.Contains(f.Text, `"--gpus"`) || strings.Contains(f.Text, "GPUS=1") {
			t.Errorf("%s asks for a GPU", f.Path)
		}
	}
}

// TestScripts: shellcheck finds nothing in any script that recipes carry.
func TestScripts(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed")
	}
	all, err := filepath.Glob("*/*.sh")
	more, err2 := filepath.Glob("*/*/*.sh")
	if err != nil || err2 != nil || len(all)+len(more) < 8 {
		t.Fatal(all, more, err, err2)
	}
	if out, err := exec.Command("shellcheck", append(append([]string{"-e", "SC1091"}, all...), more...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// ejectedFolder writes an ejected project down as a member's.
func ejectedFolder(t *testing.T, base masu.ImageRef, uid int) string {
	t.Helper()
	p := lab
	p.Name, p.Want, p.Environment = "recipe-test-eject", masu.Want{}, masu.Environment{Base: base, Apt: []string{"tree"}}
	files, err := Eject(EjectConfig{Project: p, Host: alone})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range append(files, masu.File{Path: "secret data", Text: "not for the image"}) {
		name := filepath.Join(dir, f.Path)
		mode := os.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o644
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.Text), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEjectedFilesWork builds, runs and composes the plain files, with no masu in sight.
func TestEjectedFilesWork(t *testing.T) {
	e := realEngine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can write a folder for another account")
	}
	const uid = 34567
	r, err := Plan(Config{Environment: masu.Environment{Base: "masu-test/base"}, Host: alone})
	if err != nil {
		t.Fatal(err)
	}
	e.build("recipe-test/ejectbase", r.Files, "") // everything is in it already, so that the old builder has little to do
	dir := ejectedFolder(t, "recipe-test/ejectbase", uid)
	script := func(stdin, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
		cmd.Env = append(os.Environ(), "SUDO_USER=taro", "SUDO_UID=34567", "SUDO_GID=34567", "DOCKER_HOST="+e.host)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { exec.Command("docker", "-H", e.host, "rmi", "recipe-test-eject").Run() })
	script("", "docker_build.sh")

	got := script("", "docker_run.sh", "sh", "-c", `id -u; id -g; id -un; sudo -n id -u; pwd; echo "$HF_HOME" "$ODD"; touch made; ls -a ~; ls /opt/recipe`)
	for _, want := range []string{"34567\n34567\ntaro\n0\n/home/taro/work\n/home/taro/work/.hf a\"b$c\\d\n", ".jupyter\n", "scripts\n", "work\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret data") {
		t.Error("the project's data went into the image")
	}
	if fi, err := os.Stat(filepath.Join(dir, "made")); err != nil || fi.Sys().(*syscall.Stat_t).Uid != uid || fi.Sys().(*syscall.Stat_t).Gid != uid {
		t.Errorf("the file on the host: %v %v", fi, err)
	}
	passwords(t, script)
	compose(t, e, script)
}

// passwords tries the script in a container: what is typed, and what comes of it.
func passwords(t *testing.T, script func(stdin, name string, args ...string) string) {
	for _, c := range []struct{ name, typed, want, hash string }{
		{"a password", "geheim\ngeheim\n", "DONE", "argon2:"},
		{"enter twice", "\n\n", "DONE", `password = ""`},
		{"a slip", "a\nb\ngeheim\ngeheim\n", "DONE", "argon2:"},
		{"quotes and Japanese", "秘密'\"\\\n秘密'\"\\\n", "DONE", "argon2:"},
		{"too many slips", "a\nb\na\nb\na\nb\n", "RETRY", "none"},
		{"nobody there", "", "RETRY", "none"},
		{"half an answer", "a\n", "RETRY", "none"},
	} {
		out := script(c.typed, "docker_run.sh", "sh", "-c", `scripts=~/scripts; "$scripts/set_passwd.sh" 2>/dev/null || echo "exit $?"
			if [ -e ~/.jupyter/jupyter_notebook_config.py.old ]; then grep "^password" ~/.jupyter/jupyter_notebook_config.py; else echo none; fi; ls ~/.jupyter | grep new; true`)
		if !strings.HasPrefix(out, c.want+"\n") || !strings.Contains(out, c.hash) || strings.Contains(out, "Traceback") || strings.Contains(out, ".new") {
			t.Errorf("%s: %s", c.name, out)
		}
	}
}

// compose starts everything at once and signs in as a browser would.
func compose(t *testing.T, e engine, script func(stdin, name string, args ...string) string) {
	if exec.Command("docker", "compose", "version").Run() != nil && exec.Command("docker-compose", "version").Run() != nil {
		t.Skip("there is no docker compose")
	}
	const box = "recipe-test-eject"
	t.Cleanup(func() {
		name := exec.Command("docker", "-H", e.host, "inspect", "-f", `{{index .Config.Labels "com.docker.compose.project"}}`, box)
		project, _ := name.Output()
		exec.Command("docker", "-H", e.host, "rm", "-f", box).Run()
		exec.Command("docker", "-H", e.host, "volume", "rm", strings.TrimSpace(string(project))+"_home").Run()
		exec.Command("docker", "-H", e.host, "network", "rm", strings.TrimSpace(string(project))+"_default").Run()
	})
	script("", "compose_up.sh")
	out := script("", "compose_up.sh") // a second time changes nothing
	if !strings.Contains(out, "Jupyter: http://localhost:88") {
		t.Fatalf("compose_up.sh says\n%s", out)
	}
	answer := func(client *http.Client, path string) (int, string) {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			port := strings.Fields(e.docker("port", box, "8888") + " none")[0]
			if resp, err := client.Get("http://" + port + path); err == nil {
				resp.Body.Close()
				return resp.StatusCode, "http://" + port
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	if status, _ := answer(http.DefaultClient, "/api/contents"); status != http.StatusForbidden {
		t.Errorf("without a token Jupyter answers %d", status)
	}
	if out, err := e.try("geheim\ngeheim\n", "exec", "-i", "-w", "/home/taro", box, "scripts/set_passwd.sh"); err != nil || !strings.Contains(out, "DONE") {
		t.Fatalf("set_passwd.sh: %v %s", err, out)
	}
	e.docker("restart", "-t", "3", box)
	for password, want := range map[string]int{"falsch": http.StatusForbidden, "geheim": http.StatusOK} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Jar: jar}
		_, at := answer(c, "/login")
		form := url.Values{"password": {password}}
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range jar.Cookies(u) {
			if k.Name == "_xsrf" {
				form.Set("_xsrf", k.Value)
			}
		}
		resp, err := c.PostForm(at+"/login", form)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if status, _ := answer(c, "/api/contents"); status != want {
			t.Errorf("password %q: %d, want %d", password, status, want)
		}
	}
	if out := e.docker("exec", box, "id"); !strings.HasPrefix(out, "uid=34567(taro) gid=34567") {
		t.Errorf("in the container: %s", out)
	}
}
