package masutest

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/masu-lab/masu"
)

// testServiceProjects: somebody who has never used a terminal finds a folder,
// makes one, and writes down what it needs.
func testServiceProjects(g *guest) {
	choices, err := g.svc.Choices(g.ctx)
	if err != nil || len(choices) == 0 || !choices[0].Default || choices[0].Preset == "" || choices[0].Base == "" {
		g.Fatalf("choices: %+v, %v", choices, err)
	}
	home := g.folder()
	dir := filepath.Join(home, "研究 1")
	if err := g.svc.MakeFolder(g.ctx, dir); err != nil {
		g.Fatalf("make: %v", err)
	}
	wantError(g.T, g.svc.MakeFolder(g.ctx, dir), masu.Conflict, "folder_exists")
	wantError(g.T, g.svc.MakeFolder(g.ctx, filepath.Join(home, "no", "where")), masu.Invalid, "folder_not_found")
	list, err := g.svc.Browse(g.ctx, home)
	if err != nil || list.Dir != home || !slices.Equal(list.Folders, []string{"研究 1"}) || list.Source != "" {
		g.Errorf("browse: %+v, %v", list, err)
	}
	_, err = g.svc.Browse(g.ctx, "/no/such/folder")
	wantError(g.T, err, masu.Invalid, "folder_not_found")

	if text, err := g.svc.ProjectFile(g.ctx, dir); text != "" || err != nil {
		g.Errorf("no masu.yaml, but %q, %v", text, err)
	}
	const first, second = "preset: python\n", "# もっと\npreset: python\n"
	if p, err := g.svc.Preview(g.ctx, dir, first); err != nil || p.Project.Source != "masu.yaml" || p.Project.Dir != dir {
		g.Errorf("preview: %+v, %v", p, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "masu.yaml")); err == nil {
		g.Error("a preview has written the file")
	}
	for _, step := range []struct{ old, text string }{{"", first}, {first, second}} {
		if err := g.svc.WriteProjectFile(g.ctx, dir, step.old, step.text); err != nil {
			g.Fatalf("write: %v", err)
		}
		if text, err := g.svc.ProjectFile(g.ctx, dir); text != step.text || err != nil {
			g.Errorf("wrote %q, read %q, %v", step.text, text, err)
		}
	}
	wantError(g.T, g.svc.WriteProjectFile(g.ctx, dir, first, "preset: pytorch\n"), masu.Conflict, "project_changed")
	if list, err := g.svc.Browse(g.ctx, dir); err != nil || list.Source != "masu.yaml" {
		g.Errorf("browse: %+v, %v", list, err)
	}
}
