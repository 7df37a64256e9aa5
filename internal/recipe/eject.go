package recipe

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// ejected are the files that do not depend on the project.
//
//go:embed eject
var ejected embed.FS

// EjectConfig says what to write down, and for which host.
type EjectConfig struct {
	Project  masu.Project
	Host     masu.Host
	Versions *Versions // nil for the embedded table
	Site     masu.Site
	CAs      []masu.File // contents of the site's CA bundles
}

// Eject writes a project's environment down as plain files: the guide's set,
// and a devcontainer.json. They build and run with a Docker of any age and with
// no masu. A project with a Dockerfile of its own is Invalid "eject_dockerfile".
func Eject(c EjectConfig) ([]masu.File, error) {
	e := c.Project.Environment
	if e.Dockerfile != "" {
		return nil, masu.E(masu.Invalid, "eject_dockerfile", e.Dockerfile)
	}
	if err := siteOK(c.Site); err != nil {
		return nil, err
	}
	p, err := pick(e, c.Host, c.Versions, false)
	if err != nil {
		return nil, err
	}
	b := &draft{} // without cache mounts: not every builder has them
	b.step("# The account's name and numbers come from docker_build.sh or compose_up.sh.")
	if err := b.foundation(Config{Environment: e, Host: c.Host, Site: c.Site, CAs: c.CAs}, p); err != nil {
		return nil, err
	}
	apt, pip, err := p.layer(masu.Layer{Apt: p.env.Apt, Pip: p.env.Pip})
	if err != nil {
		return nil, err
	}
	b.step("\n# Your packages: the system's in apt.txt, Python's in requirements.txt.")
	b.layer("apt.txt", apt, "requirements.txt", pip)
	b.commands(p)
	b.account(c.Project.Variables)
	for _, name := range []string{"docker_build.sh", "docker_run.sh", "compose_up.sh", "scripts/set_passwd.sh", "scripts/jupyter_notebook_config.py"} {
		if err := b.copy(name, name); err != nil {
			return nil, err
		}
	}
	if err := b.copy("account.sh", "setup/account.sh"); err != nil {
		return nil, err
	}
	b.file(".dockerignore", ignore(b.files))
	b.file("compose.yml", composeFile(c.Project))
	b.file(".env", dotEnv(c.Project))
	b.file(".devcontainer/devcontainer.json", devcontainer(c.Project))
	return append([]masu.File{{Path: "Dockerfile", Text: b.steps.String()}}, b.files...), nil
}

func (c *draft) copy(from, to string) error {
	text, err := ejected.ReadFile("eject/" + from)
	if err != nil {
		return err
	}
	f := masu.File{Path: to, Text: string(text)}
	if strings.HasSuffix(to, ".sh") {
		f.Mode = 0o755
	}
	c.files = append(c.files, f)
	return nil
}

// account ends the Dockerfile with the account that works in the container.
func (c *draft) account(variables map[string]string) {
	c.step("\nARG USER_NAME=user\nARG USER_UID=1000\nARG USER_GID=1000")
	c.step("COPY scripts /opt/recipe/scripts")
	c.run(false, false, `sh /opt/recipe/setup/account.sh "$USER_NAME" "$USER_UID" "$USER_GID"`)
	c.step("USER $USER_NAME\nENV HOME=/home/$USER_NAME SHELL=/bin/bash\nWORKDIR /home/$USER_NAME/work\nEXPOSE 8888 6006")
	for _, k := range slices.Sorted(maps.Keys(variables)) {
		c.step("ENV %s=%s", k, envValue(variables[k]))
	}
	c.step(`CMD ["jupyter", "lab"]`)
}

// envValue quotes a value for ENV. A leading ~ is the account's home, as in masu.yaml.
func envValue(v string) string {
	home := ""
	if rest, ok := strings.CutPrefix(v, "~/"); ok {
		home, v = "/home/$USER_NAME/", rest
	}
	return `"` + home + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(v) + `"`
}

// ignore lets only the files of the recipe into a build: the folder that they lie in is the project, with its data.
func ignore(files []masu.File) string {
	keep := []string{"setup", "scripts"}
	for _, f := range files {
		if dir := path.Dir(f.Path); dir == "site" || dir == "." && !strings.Contains(f.Path, "docker_") && !strings.HasPrefix(f.Path, "compose") {
			top, _, _ := strings.Cut(f.Path, "/")
			keep = append(keep, top)
		}
	}
	slices.Sort(keep)
	return "*\n!" + strings.Join(slices.Compact(keep), "\n!") + "\n"
}

// boxName is what image and container are called.
func boxName(p masu.Project) string {
	if p.Name != "" {
		return p.Name
	}
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, path.Base(p.Dir)), "-")
	if name == "" {
		return "lab"
	}
	return name
}

// gpus is what `docker run --gpus` is told; "" for none.
func gpus(w masu.Want) string {
	switch {
	case w.None():
		return ""
	case w.All || w.Count == 0:
		return "all"
	}
	return fmt.Sprint(w.Count)
}

func shm(p masu.Project) string {
	size := p.Limits.Shm
	if size == 0 {
		size = 2 * masu.GiB
	}
	return fmt.Sprintf("%dm", size/masu.MiB)
}

func dotEnv(p masu.Project) string {
	return fmt.Sprintf(`# Settings for docker_build.sh, docker_run.sh, compose_up.sh and compose.yml.
IMAGE_NAME=%[1]s
IMAGE_TAG=latest
CONTAINER_NAME=%[1]s
# The folder that is ~/work in the container.
WORK_DIR=.
# The scripts take the first free port of each span. 127.0.0.1: from this machine and through
# ssh only. With 0.0.0.0 others reach it too: set a password first.
BIND_ADDRESS=127.0.0.1
JUPYTER_PORTS=8888-8898
TENSORBOARD_PORTS=6006-6016
# GPUs for docker_run.sh: empty, a number, or all. compose.yml has its own.
GPUS=%[2]s
SHM_SIZE=%[3]s
`, boxName(p), gpus(p.Want), shm(p))
}

func composeFile(p masu.Project) string {
	var b strings.Builder
	b.WriteString(`services:
  lab:
    image: ${IMAGE_NAME}:${IMAGE_TAG}
    build:
      context: .
      args:
        USER_NAME: ${USER_NAME:-user}
        USER_UID: ${USER_UID:-1000}
        USER_GID: ${USER_GID:-1000}
    container_name: ${CONTAINER_NAME}
    init: true
    stdin_open: true
    tty: true
    shm_size: ${SHM_SIZE}
    ports:
      - ${BIND_ADDRESS}:${PORT_JUPYTER:-8888}:8888
      - ${BIND_ADDRESS}:${PORT_TENSORBOARD:-6006}:6006
    volumes:
      - ${WORK_DIR}:/home/${USER_NAME:-user}/work
      - home:/home/${USER_NAME:-user}
`)
	b.WriteString(waits(p.Sides))
	if g := gpus(p.Want); g != "" {
		fmt.Fprintf(&b, `    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: %s
              capabilities: [gpu]
`, g)
	}
	b.WriteString(composeSides(p.Sides))
	b.WriteString("volumes:\n  home:\n" + sideVolumes(p.Sides))
	return b.String()
}

// devcontainer is for "Reopen in Container" of VS Code, which makes the
// account's numbers those of whoever opens it.
func devcontainer(p masu.Project) string {
	home := "/home/${localEnv:USER}"
	d := map[string]any{
		"name":            boxName(p),
		"build":           map[string]any{"dockerfile": "../Dockerfile", "context": "..", "args": map[string]string{"USER_NAME": "${localEnv:USER}"}},
		"remoteUser":      "${localEnv:USER}",
		"workspaceFolder": home + "/work",
		"workspaceMount":  "source=${localWorkspaceFolder},target=" + home + "/work,type=bind",
		"forwardPorts":    []int{8888, 6006},
		"customizations":  map[string]any{"vscode": map[string]any{"extensions": []string{"ms-python.python", "ms-toolsai.jupyter"}}},
	}
	args := []string{"--shm-size", shm(p)}
	if g := gpus(p.Want); g != "" {
		args = append(args, "--gpus", g)
	}
	d["runArgs"] = args
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // strings and numbers only: cannot happen
	}
	return string(b) + "\n"
}
