package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sqlite"
)

// The login whose workspace moves is made by the test, and removed.
const (
	mover    = "masucli-mover"
	moverUID = 31177
)

// TestMigrate moves a workspace from the real engine to the cluster of test/kube/up.sh.
func TestMigrate(t *testing.T) {
	cluster, bin := os.Getenv("MASU_TEST_KUBE"), os.Getenv("MASU_BIN")
	if cluster == "" || bin == "" || os.Geteuid() != 0 {
		t.Skip("needs root, MASU_TEST_KUBE and MASU_BIN; make test-kube gives all three")
	}
	state := t.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	lab := migratable(t, state)
	registry, err := os.ReadFile(filepath.Join(cluster, "registry.address"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(state, "cluster.yaml")
	if err := os.WriteFile(config, []byte("kubernetes:\n  registry: "+strings.TrimSpace(string(registry))+"/masu\n  kubeconfig: "+filepath.Join(cluster, "admin.kubeconfig")+
		"\n  namespace: default\n  storage: {home: 1GiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate := func(want string, args ...string) {
		t.Helper()
		c := exec.Command(bin, append([]string{"migrate", "--lang", "en", "--state", state, "--to", config}, args...)...)
		c.Env = append(os.Environ(), "MASU_SOCKET="+filepath.Join(state, "run", "masu.sock"))
		var said bytes.Buffer
		c.Stderr = &said
		out, err := c.Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("migrate %q: %v, %q (want %q)\n%s", args, err, out, want, said.String())
		}
	}
	home := func() string { return found(t, filepath.Join(cluster, "volumes"), "kept-"+lab) }
	migrate("moving\t"+mover+"\tcarried", "--dry-run")
	if at := home(); at != "" {
		t.Fatalf("a dry run has written %s", at)
	}
	migrate("is there")
	at := home()
	if at == "" {
		t.Fatal("the home did not come")
	}
	info, err := os.Lstat(at)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != moverUID || info.Mode().Perm() != 0o640 {
		t.Errorf("what came is %d's, %v", st.Uid, info.Mode())
	}
	migrate("moving\t"+mover+"\tis there", "--dry-run")
	s := openStore(t, state)
	defer s.Close()
	if err := s.View(t.Context(), func(tx masu.Tx) error {
		w, err := tx.Workspace("w" + masu.WorkspaceID(lab))
		if !strings.HasPrefix(w.Image, strings.TrimSpace(string(registry))+"/masu/masu/env@sha256:") {
			t.Errorf("the record names the image %q", w.Image)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, state string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: storePath(state), Reserve: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// migratable makes a lab's records and, on the engine, what one workspace of it has there. It gives the lab's identity.
func migratable(t *testing.T, state string) (lab string) {
	t.Helper()
	s := openStore(t, state)
	defer s.Close()
	if err := s.View(t.Context(), func(tx masu.Tx) (err error) {
		lab, err = tx.Lab()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	id, volume, image := "w"+lab, "masu-home-w"+lab, "masu/env:"+lab
	docker := func(input string, args ...string) string {
		t.Helper()
		c := exec.Command("docker", args...)
		c.Stdin = strings.NewReader(input)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("docker %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("useradd", "-M", "-U", "-u", fmt.Sprint(moverUID), "-s", "/bin/bash", mover).CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", mover).CombinedOutput(); err != nil {
			t.Errorf("userdel: %v\n%s", err, out)
		}
		docker("", "volume", "rm", "-f", volume)
		docker("", "rmi", "-f", image)
	})
	docker("FROM masu-test/base\nLABEL masu.environment="+lab+"\n", "build", "-q", "-t", image, "-")
	docker("", "volume", "create", "--label", "masu.lab="+lab, "--label", "masu.workspace="+id, volume)
	docker("", "run", "--rm", "-v", volume+":/v", image, "sh", "-c", "echo mine > /v/kept-"+lab+"; chmod 640 /v/kept-"+lab+"; chown -R "+fmt.Sprintf("%d:%d", moverUID, moverUID)+" /v")
	w := masu.Workspace{ID: masu.WorkspaceID(id), Owner: mover, Name: "moving", Label: "moving--" + mover, Phase: masu.Stopped, Image: docker("", "inspect", "-f", "{{.Id}}", image)}
	if err := s.Update(t.Context(), func(tx masu.Tx) error { return tx.PutWorkspace(w) }); err != nil {
		t.Fatal(err)
	}
	return lab
}

// found gives the path of a file by its name; "" if there is none.
func found(t *testing.T, dir, name string) (path string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a volume that goes just now
		}
		if err == nil && d.Name() == name {
			path = at
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}
