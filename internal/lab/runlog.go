package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/masu-lab/masu"
)

const runLogMost = 16 << 20 // bytes of the log of a run that is over

// runLog is where the log of a run that is over is kept.
func (l *Lab) runLog(id masu.WorkspaceID) string {
	return filepath.Join(l.cfg.State, "runs", string(id)+".log")
}

func (l *Lab) keepLog(ctx context.Context, id masu.WorkspaceID) error {
	if err := os.MkdirAll(filepath.Dir(l.runLog(id)), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.runLog(id), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = l.cfg.Runtime.Logs(ctx, id, &limited{f, runLogMost}, false)
	if masu.KindOf(err) == masu.NotFound {
		err = nil // it never started
	}
	return errors.Join(err, f.Close())
}

// limited writes no more than so many bytes, and says nothing of the rest.
type limited struct {
	to   io.Writer
	room int
}

func (w *limited) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	if _, err := w.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// RunLog copies what a run has printed.
func (s *service) RunLog(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	for {
		r, err := s.RunByID(ctx, id)
		if err != nil {
			return err
		}
		if r.Over() {
			f, err := os.Open(s.l.runLog(id))
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return masu.E(masu.Internal, "internal").Because(err)
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		}
		if r.Phase == masu.RunRunning {
			err := s.l.cfg.Runtime.Logs(ctx, id, w, follow)
			if err == nil || masu.KindOf(err) != masu.NotFound {
				return err
			}
		}
		if !follow {
			return nil
		}
		if err := pause(ctx, runLook); err != nil {
			return nil // the end that was asked for
		}
	}
}
