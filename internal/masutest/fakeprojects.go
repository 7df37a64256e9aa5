package masutest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/masu-lab/masu"
)

// What a fake actor may do with folders. The fake reads no environments: a
// masu.yaml is right if it has no "wrong" in it.

func (s *fakeActor) Choices(context.Context) ([]masu.Choice, error) {
	return []masu.Choice{{Preset: "python", Python: "3.13", Base: "masu-test/base", Default: true}}, nil
}

func (s *fakeActor) Browse(_ context.Context, dir string) (masu.Listing, error) {
	list := masu.Listing{Dir: dir}
	if err := folder(dir); err != nil {
		return list, err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch {
		case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
			list.Folders = append(list.Folders, e.Name())
		case e.Name() == "masu.yaml":
			list.Source = e.Name()
		}
	}
	return list, err
}

func (s *fakeActor) MakeFolder(_ context.Context, dir string) error {
	if err := folder(filepath.Dir(dir)); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return masu.E(masu.Conflict, "folder_exists", dir)
	}
	return err
}

func (s *fakeActor) Read(ctx context.Context, dir string) (masu.Plan, error) {
	text, err := s.ProjectFile(ctx, dir)
	if err != nil {
		return masu.Plan{}, err
	}
	return s.Preview(ctx, dir, text)
}

func (s *fakeActor) Preview(_ context.Context, dir, text string) (masu.Plan, error) {
	if err := folder(dir); err != nil {
		return masu.Plan{}, err
	}
	if strings.Contains(text, "wrong") {
		return masu.Plan{}, masu.E(masu.Invalid, "unknown_key", "masu.yaml:1:1", "wrong")
	}
	p := masu.Project{Dir: dir, Name: filepath.Base(dir)}
	if text != "" {
		p.Source = "masu.yaml"
	}
	return masu.Plan{
		Project: p, Base: "masu-test/base", Ref: "masu/env:fake",
		Recipe: []masu.File{{Path: "Dockerfile", Text: "FROM masu-test/base\n"}},
	}, nil
}

func (s *fakeActor) ProjectFile(_ context.Context, dir string) (string, error) {
	if err := folder(dir); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, "masu.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return string(b), err
}

func (s *fakeActor) WriteProjectFile(ctx context.Context, dir, old, text string) error {
	if _, err := s.Preview(ctx, dir, text); err != nil {
		return err
	}
	now, err := s.ProjectFile(ctx, dir)
	if err != nil || now == text {
		return err
	}
	if now != old {
		return masu.E(masu.Conflict, "project_changed", dir)
	}
	return os.WriteFile(filepath.Join(dir, "masu.yaml"), []byte(text), 0o644)
}

func folder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return masu.E(masu.Invalid, "folder_not_found", dir).Because(err)
	}
	if !info.IsDir() {
		return masu.E(masu.Invalid, "folder_not_a_folder", dir)
	}
	return nil
}
