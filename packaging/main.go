// Command packaging writes masu's .deb and .rpm from what `make packages` has
// built. It is a module of its own, so that masu does not depend on it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the forms that packages are written in
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

func main() {
	version := flag.String("version", "", "of the packages")
	arch := flag.String("arch", "amd64", "amd64 or arm64")
	dist := flag.String("dist", "dist", "folder with the program, completions and man pages; the packages go there")
	at := flag.Int64("at", 0, "seconds since 1970 that every file is dated with: two builds are equal")
	flag.Parse()
	for _, form := range []string{"deb", "rpm"} {
		path, err := write(form, *version, *arch, *dist, time.Unix(*at, 0).UTC())
		if err != nil {
			fmt.Fprintln(os.Stderr, "packaging:", err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}

// write makes one package and gives its path.
func write(form, version, arch, dist string, at time.Time) (string, error) {
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "masu", Arch: arch, Platform: "linux", Version: number(version, at), Section: "science", Priority: "optional",
		Maintainer: "masu maintainers <maintainers@masu-lab.example>", Homepage: "https://github.com/masu-lab/masu", License: "Apache-2.0",
		Description: "Your lab's GPU server, as easy as Colab\nNotebooks for the members of a lab, each as themselves, on their own files.",
		MTime:       at,
		Overridables: nfpm.Overridables{
			Recommends: []string{"docker.io | docker-ce"},
			Contents:   contents(arch, dist, at),
			Scripts:    nfpm.Scripts{PostInstall: "scripts/postinstall.sh", PreRemove: "scripts/preremove.sh", PostRemove: "scripts/postremove.sh"},
		},
	})
	if form == "rpm" {
		info.Recommends = nil // its names differ; masu doctor offers the engine
	}
	p, err := nfpm.Get(form)
	if err != nil {
		return "", err
	}
	if err := nfpm.PrepareForPackager(info, form); err != nil {
		return "", err
	}
	path := filepath.Join(dist, p.ConventionalFileName(info))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := p.Package(info, f); err != nil {
		_ = f.Close()
		return "", err
	}
	return path, f.Close()
}

// described is what git describe says of a release, or of commits after one.
var described = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)(?:-([0-9]+)-g([0-9a-f]+))?$`)

// number gives a version that both forms take, and in which a later build is a
// higher one: commits after a release follow it, and what comes before the first
// release is numbered by the time of its commit.
func number(version string, at time.Time) string {
	version, dirty := strings.CutSuffix(version, "-dirty")
	m := described.FindStringSubmatch(version)
	v := "0.0.0~" + at.UTC().Format("20060102150405") + "." + strings.ReplaceAll(version, "-", ".")
	switch {
	case m != nil && m[2] != "":
		v = m[1] + "+" + m[2] + ".g" + m[3]
	case m != nil:
		v = m[1]
	}
	if dirty {
		v += "+dirty"
	}
	return v
}

func contents(arch, dist string, at time.Time) files.Contents {
	file := func(from, to string, mode os.FileMode, kind string) *files.Content {
		return &files.Content{Source: from, Destination: to, Type: kind, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: at, Owner: "root", Group: "root"}}
	}
	all := files.Contents{
		file(filepath.Join(dist, "masu-linux-"+arch), "/usr/bin/masu", 0o755, ""),
		file(filepath.Join(dist, "masu.service"), "/usr/lib/systemd/system/masu.service", 0o644, ""),
		file("../cmd/masu/install/config.yaml", "/etc/masu/config.yaml", 0o644, "config|noreplace"),
		file("../LICENSE", "/usr/share/doc/masu/copyright", 0o644, ""),
		file(filepath.Join(dist, "completion/masu.bash"), "/usr/share/bash-completion/completions/masu", 0o644, ""),
		file(filepath.Join(dist, "completion/masu.zsh"), "/usr/share/zsh/vendor-completions/_masu", 0o644, ""),
		file(filepath.Join(dist, "completion/masu.fish"), "/usr/share/fish/vendor_completions.d/masu.fish", 0o644, ""),
	}
	pages, _ := filepath.Glob(filepath.Join(dist, "man", "*.1")) // the pattern is a good one
	for _, page := range pages {
		all = append(all, file(page, "/usr/share/man/man1/"+filepath.Base(page), 0o644, ""))
	}
	return all
}
