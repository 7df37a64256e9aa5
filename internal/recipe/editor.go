package recipe

import (
	"embed"
	"strings"

	"github.com/masu-lab/masu"
)

// editor is how VS Code for the browser is made.
//
//go:embed editor
var editor embed.FS

// EditorBase is the image in which it is made: code-server wants the Node of this release.
const EditorBase masu.ImageRef = "debian:trixie-slim"

// Editor makes the recipe of VS Code for the browser: an image that is never
// run, with all that belongs to it in masu.EditorPath.
func Editor(c Config) (Recipe, error) {
	if err := siteOK(c.Site); err != nil {
		return Recipe{}, err
	}
	d := &draft{mounts: true, cache: "debian-trixie"}
	d.step("FROM %s AS build", EditorBase)
	if len(c.CAs) > 0 {
		d.step("ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt")
	}
	for _, path := range []string{"setup/apt.sh", "setup/dpkg.cfg", "setup/site.sh", "editor/packages.txt", "editor/packages.sh", "editor/build.sh", "editor/spdlog.js"} {
		from := setup
		if strings.HasPrefix(path, "editor/") {
			from = editor
		}
		text, err := from.ReadFile(path)
		if err != nil {
			return Recipe{}, err
		}
		d.file(path, string(text))
	}
	d.siteFiles(c)
	d.step("COPY . /opt/recipe")
	d.run(true, false, "sh /opt/recipe/editor/packages.sh")
	d.step("RUN cd /opt/recipe && sh editor/build.sh %s", masu.EditorPath)
	d.step("FROM scratch")
	d.step("COPY --from=build %[1]s %[1]s", masu.EditorPath)
	files := append([]masu.File{{Path: "Dockerfile", Text: d.steps.String()}}, d.files...)
	return Recipe{Base: EditorBase, Ref: masu.ImageRef("masu/editor:" + digest(files)), Files: files, Args: c.Site.Proxy}, nil
}
