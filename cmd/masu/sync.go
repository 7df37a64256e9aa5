package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/mirror"
	"github.com/masu-lab/masu/internal/text"
)

const (
	syncEvery = 2 * time.Second  // between two looks
	syncPause = 10 * time.Second // most between two tries to connect
	syncTries = 5                // rounds of --once where things keep changing
)

type syncOptions struct{ once, dry bool }

func (a *app) syncCommand() *cobra.Command {
	var o syncOptions
	c := a.command("sync", "sync [FOLDER] WORKSPACE[:PATH]", groupWork, a.args(1, 2), func(ctx context.Context, args []string) error {
		folder := "."
		if len(args) == 2 {
			folder = args[0]
		}
		far := a.place(args[len(args)-1])
		if far.workspace == "" {
			far = place{workspace: far.path}
		}
		if !masu.ValidWorkspaceName(far.workspace) {
			return masu.E(masu.Invalid, "sync_no_workspace", args[len(args)-1])
		}
		near, err := a.syncFolder(folder, o.dry)
		if err != nil {
			return err
		}
		return a.keepAlike(ctx, &alike{app: a, near: near, far: far, syncOptions: o, told: map[string]bool{}})
	})
	c.Flags().BoolVar(&o.once, "once", false, "")
	c.Flags().BoolVarP(&o.dry, "dry-run", "n", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}

// syncFolder finds the folder here, and makes it where it is missing. A whole
// home is nobody's project.
func (a *app) syncFolder(said string, dry bool) (string, error) {
	dir, err := filepath.Abs(said)
	if err == nil && !dry {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fileError(said, err)
	}
	home, err := filepath.EvalSymlinks(a.home())
	if dir == filepath.Dir(dir) || err == nil && home == dir {
		return "", masu.E(masu.Invalid, "sync_home", dir)
	}
	return dir, nil
}

// alike is a folder here and one in a workspace that are kept alike.
type alike struct {
	*app
	syncOptions
	near  string
	far   place
	told  map[string]bool // what was said already about what cannot be done
	bad   int
	began bool // the workspace ran once
	ready bool // it was alike once
}

// keepAlike goes on until Ctrl-C, across lost connections; with --once until it is done.
func (a *app) keepAlike(ctx context.Context, k *alike) error {
	for pause, away := time.Second, false; ; pause = min(2*pause, syncPause) {
		err := a.with(ctx, func(s service) error {
			return k.over(ctx, s, func() {
				if away {
					a.note("sync_back", k.far.workspace)
				}
				pause, away = time.Second, false
			})
		})
		switch {
		case err == nil, ctx.Err() != nil && !k.once:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case k.once || k.dry || !lost(err) && masu.KindOf(err) != masu.Unreachable:
			return err
		case !away:
			a.note("sync_lost", k.far.workspace)
			away = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// lost tells whether the connection to a box's files has ended.
func lost(err error) bool {
	return errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, sftp.ErrSSHFxNoConnection)
}

// over keeps both alike as long as a connection holds.
func (k *alike) over(ctx context.Context, s service, connected func()) error {
	w, err := k.box(ctx, s)
	if err != nil {
		return err
	}
	hello, err := s.Whoami(ctx)
	if err != nil {
		return err
	}
	b, err := k.boxFiles(ctx, s, k.far.workspace)
	if err != nil {
		return err
	}
	defer b.end()
	connected()
	err = k.rounds(ctx, b, hello.Lab+" "+string(w.ID))
	if lost(err) {
		if why := b.ended(); why != nil && masu.CodeOf(why) != "cancelled" {
			return why
		}
	}
	return fileError(k.far.workspace, err)
}

// box gives the workspace: at first it is started, as for any command. One that
// was stopped since then is its owner's wish.
func (k *alike) box(ctx context.Context, s service) (masu.Workspace, error) {
	if !k.began {
		w, err := k.running(ctx, s, k.far.workspace)
		k.began = err == nil
		return w, err
	}
	w, err := s.Workspace(ctx, k.far.workspace)
	switch {
	case err != nil || w.Phase == masu.Running:
		return w, err
	case w.Phase == masu.Stopped || w.Phase == masu.Failed:
		return w, masu.E(masu.Conflict, "sync_stopped", w.Name)
	}
	return w, masu.E(masu.Unreachable, "sync_away", w.Name) // it comes, or goes
}

func (k *alike) rounds(ctx context.Context, b *boxFiles, which string) error {
	dir := b.at(k.far.path)
	near, err := mirror.OpenLocal(k.near)
	if err != nil {
		return fileError(k.near, err)
	}
	defer near.Close()
	if info, err := b.Stat(dir); err == nil && !info.IsDir() {
		return masu.E(masu.Conflict, "cp_file_there", dir)
	} else if errors.Is(err, fs.ErrNotExist) && !k.dry {
		if err := b.MkdirAll(dir); err != nil {
			return fileError(dir, err)
		}
	}
	memory := k.memory(which, dir)
	if err := os.MkdirAll(filepath.Dir(memory), 0o700); err != nil {
		return fileError(memory, err)
	}
	release, err := lockFile(memory + ".lock")
	if err != nil {
		return masu.E(masu.Conflict, "sync_twice", k.near).Because(err)
	}
	defer release()
	host, _ := os.Hostname() // "" is a name too
	sync := &mirror.Sync{Near: near, Far: mirror.NewSFTP(b.Client, dir), Host: host, Now: time.Now, Tell: k.tell}
	if sync.Base, err = recall(memory); err != nil {
		return err
	}
	if k.dry {
		return k.foretell(ctx, sync)
	}
	return k.watch(ctx, sync, memory)
}

// watch does a round now and then, and remembers after each what is alike.
func (k *alike) watch(ctx context.Context, sync *mirror.Sync, memory string) error {
	for tries := 1; ; tries++ {
		begin := time.Now()
		k.bad = 0
		more, err := sync.Round(ctx)
		if err := remember(memory, sync.Base); err != nil {
			return fileError(memory, err)
		}
		switch {
		case err != nil:
			return err
		case more && tries < syncTries:
			continue
		case k.once && (k.bad > 0 || more):
			return masu.E(masu.Conflict, "sync_some", k.near, k.far.workspace)
		case !k.ready:
			k.ready = true
			k.note("sync_alike", k.near, k.far.workspace+":"+k.far.path)
			if !k.once {
				k.note("sync_watching")
			}
		}
		if k.once {
			return nil
		}
		tries = 0
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(syncEvery, 5*time.Since(begin))): // a large folder is looked at less often
		}
	}
}

// tell says what was done, and once what could not be.
func (k *alike) tell(d mirror.Done) {
	line := ""
	switch {
	case d.Err != nil:
		k.bad++
		message, _ := text.Error(k.lang, fileError(d.Path, d.Err))
		line = message
	case d.Do == mirror.Skip:
		line = k.say(d.Why, plain(d.Path))
	case d.Do == mirror.Settle:
		line = k.say("sync_conflict", plain(d.Path), plain(d.As))
	default:
		k.print(k.sign(d.Step), plain(d.Path))
		return
	}
	if !k.told[line] {
		k.told[line] = true
		k.note("sync_line", line)
	}
}

// sign shows where something goes.
func (k *alike) sign(s mirror.Step) string {
	sign := map[mirror.Side]string{mirror.Far: "→", mirror.Near: "←"}[s.At]
	if s.Do == mirror.Clear {
		return sign + " ✗"
	}
	return sign
}

// foretell says what would be done.
func (k *alike) foretell(ctx context.Context, sync *mirror.Sync) error {
	steps, err := sync.Plan(ctx)
	if err != nil {
		return err
	}
	for _, s := range steps {
		switch s.Do {
		case mirror.Forget:
		case mirror.Settle:
			k.print("?", plain(s.Path))
		default:
			k.tell(mirror.Done{Step: s})
		}
	}
	return nil
}

// memory is the file that remembers what was alike: of this folder and that one of that lab.
func (k *alike) memory(which, far string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{which, far, k.near}, "\x00")))
	return filepath.Join(k.stateDir(), "sync", hex.EncodeToString(sum[:8])+".json")
}

func recall(path string) (mirror.Base, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	b, err := mirror.ReadBase(f)
	if err != nil {
		return nil, masu.E(masu.Invalid, "sync_memory", path).Because(err)
	}
	return b, nil
}

func remember(path string, b mirror.Base) error {
	var text strings.Builder
	if err := mirror.WriteBase(&text, b); err != nil {
		return err
	}
	return replaceFile(path, []byte(text.String()))
}
