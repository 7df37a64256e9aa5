package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

type upOptions struct {
	dir, name, preset, gpus, class                string
	restart, noCache, yes, noOpen, detach, noTest bool
	quiet, orCPU                                  bool
}

func (a *app) upCommand() *cobra.Command {
	var o upOptions
	var wait bool
	c := a.command("up", "up [DIR|NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			o.dir = args[0]
		}
		if wait && o.detach {
			return masu.E(masu.Invalid, "flags_exclude", "--wait, --detach")
		}
		return a.up(ctx, o)
	})
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "")
	f.StringVar(&o.preset, "preset", "", "")
	f.StringVar(&o.gpus, "gpus", "", "")
	f.StringVar(&o.class, "class", "", "")
	f.BoolVar(&o.orCPU, "or-cpu", false, "")
	f.BoolVar(&o.restart, "restart", false, "")
	f.BoolVar(&o.noCache, "no-cache", false, "")
	f.BoolVarP(&o.yes, "yes", "y", false, "")
	f.BoolVar(&o.noOpen, "no-open", false, "")
	f.BoolVar(&o.noTest, "no-check", false, "")
	f.BoolVarP(&o.detach, "detach", "d", false, "")
	f.BoolVar(&wait, "wait", false, "") // the default, for scripts that want to say so
	f.BoolVarP(&o.quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, _ := a.completeNames(c, args, word)
		return names, cobra.ShellCompDirectiveFilterDirs
	}
	return c
}

func (a *app) up(ctx context.Context, o upOptions) error {
	want, err := parseWant(o.gpus)
	if err != nil {
		return err
	}
	if o.name != "" && !masu.ValidWorkspaceName(o.name) {
		return masu.E(masu.Invalid, "name_wrong", o.name)
	}
	dir := ""
	if byName(o.dir) && o.name == "" {
		o.name = o.dir // a workspace that is there already
	} else if dir, err = a.projectDir(o.dir, true); err != nil {
		return err
	}
	s, err := a.connectOrStart(ctx, o.yes)
	if err != nil {
		return err
	}
	defer s.Close()
	r := masu.UpRequest{Dir: dir, Name: o.name, Preset: o.preset, Want: want, Class: o.class, Restart: o.restart, NoCache: o.noCache}
	if o.orCPU || want != nil && !want.None() { // GPUs that are asked for anew are waited for, unless it is said
		r.OrCPU = &o.orCPU
	}
	w, err := s.Up(ctx, r)
	if err != nil {
		return err
	}
	a.notes(w.Project.Notes)
	if !o.detach && w.Phase != masu.Running {
		if w, err = a.await(ctx, s, w, o.quiet); err != nil {
			return err
		}
	}
	return a.welcome(ctx, s, w, o)
}

// byName tells whether what was said is no folder, but may be a workspace.
func byName(said string) bool {
	_, err := os.Lstat(said)
	return masu.ValidWorkspaceName(said) && errors.Is(err, os.ErrNotExist)
}

// await shows how the start goes and returns when it has settled.
func (a *app) await(ctx context.Context, s service, w masu.Workspace, quiet bool) (masu.Workspace, error) {
	p := a.progress(quiet)
	var failure error
	for e, err := range s.Watch(ctx, w.Name) {
		if err != nil {
			failure = err
			break
		}
		p.tell(e)
	}
	if ctx.Err() != nil {
		p.end(false)
		a.note("up_goes_on", w.Name)
		return w, ctx.Err()
	}
	if failure == nil {
		w, failure = s.Workspace(ctx, w.Name)
	}
	if failure == nil && w.Phase != masu.Running {
		failure = masu.E(masu.Conflict, "up_not_running", w.Name, a.phase(w.Phase))
		if w.Trouble != nil {
			failure = w.Trouble.Err()
		}
	}
	p.end(failure != nil)
	return w, failure
}

// welcome tries the workspace through a browser's door and tells where it is.
func (a *app) welcome(ctx context.Context, s service, w masu.Workspace, o upOptions) error {
	var cell *checked
	if !o.detach && !o.noTest {
		c, err := a.tryCell(ctx, s, w.Name, checkCell)
		if err != nil {
			return err
		}
		cell = &c
	}
	link, err := s.Link(ctx, w.Name)
	if err != nil {
		return err
	}
	if a.json {
		return a.data(struct {
			masu.Workspace
			Open  masu.OpenLink `json:"open"`
			Check *checked      `json:"check,omitempty"`
		}{w, link, cell})
	}
	if o.quiet {
		a.print(link.URL)
		return nil
	}
	if cell != nil {
		a.note("check_passed", cell.Output, elapsed(cell.took()))
	}
	if o.detach {
		a.note("up_detached", w.Name, a.phase(w.Phase))
	} else {
		a.note("up_ready", w.Name, w.Project.Dir)
	}
	if w.Waits {
		a.note("up_on_cpu", w.Name)
	}
	hello, err := s.Whoami(ctx)
	if err != nil {
		return err
	}
	a.notes(hello.Notes)
	if hello.Version != version && (hello.Personal || os.Geteuid() == 0) { // others cannot do anything about it
		a.note("version_differs", hello.Version, version, filepath.Join(a.stateDir(), "lock"))
	}
	a.address(link, hello)
	if !o.noOpen {
		a.browse(ctx, link.URL)
	}
	return nil
}

// address prints where the notebook is, and how to come there from a laptop.
func (a *app) address(link masu.OpenLink, hello masu.Hello) {
	fmt.Fprintln(a.err)
	a.print("  " + link.URL)
	fmt.Fprintln(a.err)
	a.note("link_once", link.Expires.Local().Format("15:04:05"))
	port, local := loopbackPort(hello.Pages)
	if !local && strings.HasPrefix(hello.Pages, "http://") {
		a.note("note_plain_http")
	}
	if local {
		a.note("link_laptop", fmt.Sprintf("ssh -L %[1]s:localhost:%[1]s %[2]s@%[3]s", port, hello.Actor.Name, hello.HostName))
	}
}

// phase names a phase for people.
func (a *app) phase(p masu.Phase) string { return a.say("phase." + string(p)) }

// projectDir gives the project folder as an absolute path. A home directory or
// the root of the file system is nobody's project: ~/work is taken instead,
// and made if that is wished.
func (a *app) projectDir(dir string, create bool) (string, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", masu.E(masu.NotFound, "cwd_gone").Because(err)
	}
	// The daemon follows no links, for it must not be led astray; here the
	// member's own shell has been led already, and knows where to.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	home := filepath.Clean(a.home())
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	if abs != "/" && abs != home {
		return abs, nil
	}
	work := filepath.Join(home, "work")
	if _, err := os.Stat(work); errors.Is(err, os.ErrNotExist) && create {
		if err := a.makeWork(work); err != nil {
			return "", masu.E(masu.Denied, "work_not_made", work).Because(err)
		}
		a.note("work_made", work)
		return work, nil
	}
	a.note("work_taken", work)
	return work, nil
}

// makeWork makes the member's ~/work. Root, acting for a member, gives it to
// them by descriptor: by name it could be exchanged for something else meanwhile.
func (a *app) makeWork(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	uid, gid, other := a.owner()
	if !other {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chown(uid, gid)
}

// connectOrStart finds the daemon, or makes this machine ready and starts one.
func (a *app) connectOrStart(ctx context.Context, yes bool) (service, error) {
	s, err := a.connect(ctx)
	if err == nil {
		return s, a.awaken(ctx, s, yes)
	}
	if masu.CodeOf(err) != "no_daemon" {
		return nil, err
	}
	if err := a.prepare(ctx, yes); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", a.daemonLog()).Because(err)
	}
	return a.startDaemon(ctx, self)
}

// awaken mends the machine where the daemon runs but its engine does not answer.
func (a *app) awaken(ctx context.Context, s service, yes bool) error {
	hello, err := s.Whoami(ctx)
	if err != nil || !slices.ContainsFunc(hello.Notes, func(n masu.Note) bool { return n.Code == "engine_away" }) {
		return err
	}
	return a.prepare(ctx, yes)
}

// parseWant reads --gpus: "1", "all", "none", or "count=1,memory=24GiB,model=A100,share=8GiB".
func parseWant(s string) (*masu.Want, error) {
	wrong := masu.E(masu.Invalid, "gpus_wrong", s)
	switch s {
	case "":
		return nil, nil
	case "none", "0":
		return &masu.Want{}, nil
	case "all":
		return &masu.Want{All: true}, nil
	}
	w := &masu.Want{}
	if n, ok := number(s); ok {
		w.Count = n
		return w, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return nil, wrong
		}
		var good bool
		switch key {
		case "count":
			w.Count, good = number(value)
		case "memory":
			w.Memory, good = size(value)
		case "share":
			w.Share, good = size(value)
		case "model":
			w.Model, good = value, true
		}
		if !good {
			return nil, wrong
		}
	}
	if w.Count == 0 && w.Share == 0 {
		w.Count = 1
	}
	return w, nil
}
