package agent

import (
	"os"
	"path/filepath"
	"strings"
)

// app is a program that the agent knows how to start.
type app struct {
	name string
	port int
	own  bool   // the member's, by a command of theirs
	path string // answers with success when the app is ready
	// argv gives the command for a box, and how it is found.
	argv   func(b box) []string
	env    []string // besides the member's
	usedAt *moment  // when somebody was last seen to be connected
}

// appNamed knows the apps.
func appNamed(name string) (app, bool) {
	switch name {
	case "jupyter":
		return app{name: name, port: 8888, path: "/api", argv: jupyterArgv}, true
	case "tensorboard":
		return app{name: name, port: 6006, path: "/", argv: func(b box) []string { return tensorboardArgv(b, filepath.Join(b.Work, "runs")) }}, true
	case "code":
		return app{name: name, port: editorPort, path: "/healthz", argv: editorArgv, env: editorVariables()}, true
	}
	return app{}, false
}

// jupyterArgv starts JupyterLab, or what of Jupyter there is. It asks for no
// password or token: it listens on the box's own loopback, which masu alone
// reaches, and masu has asked already.
func jupyterArgv(b box) []string {
	flags := func(section string) []string {
		return []string{
			"--ip=127.0.0.1", "--port=8888", "--no-browser",
			"--" + section + ".port_retries=0",
			"--" + section + ".token=", "--" + section + ".password=",
			"--" + section + ".allow_remote_access=True",
			"--" + section + ".base_url=/",
			"--" + section + ".terminado_settings={'shell_command': ['" + b.Shell + "', '-l']}",
		}
	}
	server := append(flags("ServerApp"), "--IdentityProvider.token=", "--ServerApp.root_dir="+b.Work)
	if b.User.UID == 0 {
		server = append(server, "--allow-root")
	}
	if lab := findCommand("jupyter-lab", b.path(), b.Work); lab.path != "" {
		return append([]string{lab.path}, server...)
	}
	if classic := findCommand("jupyter-notebook", b.path(), b.Work); classic.path != "" {
		argv := append([]string{classic.path}, server...)
		return append(append(argv, flags("NotebookApp")[3:]...), "--NotebookApp.notebook_dir="+b.Work)
	}
	return append([]string{findCommand("python3", b.path(), b.Work).path, "-m", "jupyterlab"}, server...)
}

func tensorboardArgv(b box, logs string) []string {
	return []string{findCommand("tensorboard", b.path(), b.Work).path, "--host=127.0.0.1", "--port=6006", "--logdir=" + logs}
}

// command is the file that a name stands for; an empty path, and the exit
// code that shells give, if there is none.
type command struct {
	path string
	code int
}

// findCommand looks a command up in a PATH as a shell would, with the rights
// of whoever calls.
func findCommand(name, path, dir string) command {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return runnable(name)
	}
	found := command{code: exitMissing}
	for folder := range strings.SplitSeq(path, ":") {
		if folder == "" || name == "" {
			continue
		}
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		c := runnable(filepath.Join(folder, name))
		if c.path != "" {
			return c
		}
		if c.code == exitCannot {
			found = c
		}
	}
	return found
}

func runnable(path string) command {
	fi, err := os.Stat(path)
	if err != nil {
		return command{code: exitMissing}
	}
	if !fi.Mode().IsRegular() || fi.Mode().Perm()&0o111 == 0 {
		return command{code: exitCannot}
	}
	return command{path: path}
}
