package docker

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// suiteUID is whose the boxes of masutest.Runtime are.
const suiteUID = 30997

// TestEngineRootless runs a part of the suite as a member who may use the
// engine's socket and nothing else.
func TestEngineRootless(t *testing.T) {
	if os.Getuid() == suiteUID {
		asMember(t)
		return
	}
	socket := strings.TrimPrefix(address(t), "unix://")
	if socket == "" {
		socket = "/var/run/docker.sock"
	}
	fi, err := os.Stat(socket)
	if err != nil || os.Getuid() != 0 {
		t.Skipf("needs root and the engine's socket: %v", err)
	}
	bin, err := agentBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := memberFolder(t)
	self := filepath.Join(filepath.Dir(dir), "docker.test")
	copyFile(t, "/proc/self/exe", self)
	if err := os.Chown(dir, suiteUID, suiteUID); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestEngineRootless$/^(Start|StopAndStartAgain|Dial|ExecMember|Volume|Folder)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MASU_BIN="+bin, "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: suiteUID, Gid: suiteUID, Groups: []uint32{fi.Sys().(*syscall.Stat_t).Gid}}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 7 {
		t.Errorf("as a member: %v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func asMember(t *testing.T) {
	masutest.Runtime(t, func(t *testing.T) (masu.Runtime, string) { return openEngine(t, nil), testImage })
	t.Run("Folder", func(t *testing.T) {
		rt := openEngine(t, nil)
		b := testBox(t, rt)
		u := masu.User{Name: "suite", UID: suiteUID, GID: suiteUID, Home: "/home/suite"}
		b.Owner, b.Agent.User, b.Agent.Work = u, u, "/home/suite/work"
		b.Mounts = []masu.Mount{{Folder: t.TempDir(), Target: b.Agent.Work}}
		mustStart(t, rt, b)
		run(t, rt, b, false, "echo result > ~/work/out")
		if text, err := os.ReadFile(filepath.Join(b.Mounts[0].Folder, "out")); err != nil || string(text) != "result\n" {
			t.Errorf("on the host: %q, %v", text, err)
		}
		b.Mounts[0].Folder = "/root"
		if err := rt.Start(t.Context(), b); masu.KindOf(err) != masu.Denied {
			t.Errorf("Start with somebody else's folder: %v", err)
		}
		if info, err := rt.Info(t.Context()); err != nil || !info.Rootless {
			t.Errorf("Info = %+v, %v", info, err)
		}
	})
}
