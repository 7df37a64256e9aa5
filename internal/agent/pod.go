package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// copySelf puts this program where the box will find it: on a cluster no host's file can be mounted.
func copySelf(dir string) int {
	err := copyProgram(filepath.Join(dir, filepath.Base(masu.AgentPath)))
	if err == nil { // where VS Code is mounted, if it is: what is mounted over is read-only by then
		err = os.Mkdir(filepath.Join(dir, filepath.Base(masu.EditorPath)), 0o755)
	}
	if err != nil {
		complain(err)
		return exitAgent
	}
	return 0
}

func copyProgram(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// prepare makes in a folder, which lasts as long as the pod, what the first
// process makes where it is root: the image's account files with the member in
// them, the profile of shells, and the folders under /run.
func prepare(dir string) int {
	spec, err := takeSpec()
	if err == nil {
		err = prepareIn(dir, image{root: "/", say: complain}, spec, os.Environ())
	}
	if err != nil {
		complain(err)
		return exitAgent
	}
	return 0
}

func prepareIn(dir string, from image, spec masu.AgentSpec, environ []string) error {
	var failed []error
	to := image{root: dir, say: func(err error) { failed = append(failed, err) }}
	if err := os.MkdirAll(to.at("/etc"), 0o755); err != nil {
		return err
	}
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		text, err := os.ReadFile(from.at(file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(to.at(file), text, 0o644); err != nil {
			return err
		}
	}
	to.known(spec.User, from.shell())
	to.profile(from.variables(spec, environ))
	for _, folder := range []string{"/run/masu", "/run/user"} {
		if err := os.MkdirAll(to.at(folder), 0o700); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// endBox has the first process end the box, and what else runs there with it
// when it needs longer than the grace. It is the first process's own end that
// ends this one.
func endBox(ctx context.Context, grace string) int {
	seconds, err := strconv.Atoi(grace)
	if err != nil || seconds < 0 {
		complain(fmt.Errorf("%q are no seconds", grace))
		return exitUsage
	}
	if err := syscall.Kill(1, syscall.SIGTERM); err != nil {
		complain(err)
		return exitAgent
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	_ = syscall.Kill(-1, syscall.SIGKILL) // everybody but the first process, which then ends, and this one
	return 0
}
