package lab

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

// checkNotebook refuses at once what would only fail when its turn has come.
func (s *service) checkNotebook(dir string, n masu.Notebook) error {
	if err := n.Validate(); err != nil {
		return err
	}
	if dir == "" {
		return masu.E(masu.Invalid, "notebook_missing", n.Path)
	}
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := readNotebook(f, n.For(masu.Run{}).Path)
	if errors.Is(err, fs.ErrNotExist) {
		return masu.E(masu.Invalid, "notebook_missing", n.Path)
	}
	if err != nil {
		return err
	}
	nb, err := notebook.Parse(text)
	if err != nil || len(n.Parameters) == 0 {
		return err
	}
	return nb.Inject("")
}

const (
	foldersMost   = 500         // in which notebooks are looked for
	notebooksTook = time.Second // after which a list of those that were found is better than all of them
)

// Notebooks lists those that a member may choose from.
func (s *service) Notebooks(ctx context.Context, dir string) (list []string, err error) {
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	folders, began := 0, time.Now()
	err = fs.WalkDir(f, ".", func(path string, e fs.DirEntry, err error) error {
		switch hidden := path != "." && strings.HasPrefix(e.Name(), "."); {
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > notebooksTook:
			return fs.SkipAll
		case err != nil && path == ".":
			return masu.E(masu.Denied, "folder_not_yours", dir).Because(err)
		case err != nil: // one that cannot be read has none
		case e.IsDir() && (hidden || strings.Count(path, "/") >= masu.NotebooksDeep):
			return fs.SkipDir
		case e.IsDir():
			if folders++; folders > foldersMost {
				return fs.SkipAll
			}
		case hidden || !e.Type().IsRegular() || !masu.IsNotebook(e.Name()) || masu.RanNotebook(e.Name()):
		default:
			if list = append(list, path); len(list) == masu.NotebooksMost {
				return fs.SkipAll
			}
		}
		return nil
	})
	return list, err
}

// readNotebook reads one from a member's folder, with their rights.
func readNotebook(dir masu.Folder, path string) ([]byte, error) {
	f, err := dir.Open(path)
	if err != nil {
		return nil, notebookError(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(masu.NotebookMost)+1))
	if err != nil {
		return nil, notebookError(path, err)
	}
	if len(text) > int(masu.NotebookMost) {
		return nil, masu.E(masu.Invalid, "notebook_large", masu.NotebookMost)
	}
	return text, nil
}

// notebookError tells why a notebook could not be read; that there is none is for the caller to tell.
func notebookError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return masu.E(masu.Denied, "notebook_not_read", path).Because(err)
}

// RunNotebook copies what a run has put into its notebook so far.
func (s *service) RunNotebook(ctx context.Context, id masu.WorkspaceID, w io.Writer) error {
	r, err := s.RunByID(ctx, id)
	if err != nil {
		return err
	}
	if r.Notebook == nil {
		return masu.E(masu.NotFound, "no_notebook", id)
	}
	owner, err := s.l.cfg.Accounts.ByName(r.Owner)
	if err != nil {
		return err
	}
	f, err := s.l.cfg.Folders.OpenFolder(owner, r.Project.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := readNotebook(f, r.Notebook.Out)
	if errors.Is(err, fs.ErrNotExist) {
		return masu.E(masu.NotFound, "no_notebook", id)
	}
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
