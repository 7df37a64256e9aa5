package main

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kube"
)

// ownProgram is the file of this very program, even if another one is at its path by now.
const ownProgram = "/proc/self/exe"

// authorityFile is where most distributions keep whom programs trust.
const authorityFile = "/etc/ssl/certs/ca-certificates.crt"

func (a *app) kubePushCommand() *cobra.Command {
	return a.command("kube.push", "push", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		file, err := readConfig(a.configPath())
		if err != nil {
			return err
		}
		if !file.Kube.on() {
			return masu.E(masu.Invalid, "kube_none", a.configPath())
		}
		k, err := file.Kube.config()
		if err != nil {
			return err
		}
		ref, err := serverImage()
		if err != nil {
			return err
		}
		pr, pw := io.Pipe()
		go func() { pw.CloseWithError(writeServer(tar.NewWriter(pw))) }()
		defer pr.Close()
		id, err := kube.Publish(ctx, k.Registry, authn.DefaultKeychain, ref, pr)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, id)
		return nil
	})
}

// serverImage is what the image of this masu is called, by its program's digest.
func serverImage() (masu.ImageRef, error) {
	f, err := os.Open(ownProgram)
	if err != nil {
		return "", fmt.Errorf("kube push: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("kube push: %w", err)
	}
	return masu.ImageRef("masu/server:" + hex.EncodeToString(sum.Sum(nil))[:16]), nil
}

// writeServer is all that masu needs as a pod: itself, whom it trusts, and the
// account files by links to where the cluster's administrator has put them.
func writeServer(w *tar.Writer) error {
	for _, dir := range []string{"etc/", "etc/masu/", "etc/ssl/", "etc/ssl/certs/", "run/", "tmp/", "var/", "var/lib/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Mode: 0o755, Typeflag: tar.TypeDir}); err != nil {
			return err
		}
	}
	for _, name := range []string{"passwd", "group"} {
		if err := w.WriteHeader(&tar.Header{Name: "etc/" + name, Linkname: "masu/" + name, Mode: 0o777, Typeflag: tar.TypeSymlink}); err != nil {
			return err
		}
	}
	if err := copyInto(w, authorityFile, authorityFile[1:], 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return cmp.Or(copyInto(w, ownProgram, "masu", 0o755), w.Close())
}

func copyInto(w *tar.Writer, from, to string, mode int64) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: to, Mode: mode, Size: fi.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
