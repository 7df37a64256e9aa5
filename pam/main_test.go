package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const service = "masu-test"

// account makes a login with a password, and a PAM service of the plainest kind.
func account(t *testing.T) {
	t.Helper()
	if os.Getenv("MASU_TEST_ENGINE") == "" || os.Geteuid() != 0 {
		t.Skip("needs root and MASU_TEST_ENGINE; make test gives both")
	}
	if err := os.WriteFile("/etc/pam.d/"+service, []byte("auth required pam_unix.so nodelay\naccount required pam_unix.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove("/etc/pam.d/" + service) })
	_ = exec.Command("userdel", "-f", "masupam").Run() // left by a test that was killed
	if out, err := exec.Command("useradd", "--no-create-home", "--shell", "/bin/sh", "masupam").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("userdel", "-f", "masupam").Run() })
	cmd := exec.Command("chpasswd")
	cmd.Stdin = strings.NewReader("masupam:correct horse 枡\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestCheck(t *testing.T) {
	account(t)
	for _, c := range []struct {
		name, in string
		want     int
	}{
		{"right", "masupam\ncorrect horse 枡\n", yes},
		{"wrong", "masupam\nwrong\n", no},
		{"no password", "masupam\n\n", no},
		{"nobody", "masunobody\ncorrect horse 枡\n", no},
		{"no name", "\ncorrect horse 枡\n", no},
		{"a locked account", "daemon\n*\n", no},
		{"a NUL", "masupam\x00x\ncorrect horse 枡\n", no},
		{"half", "masupam", trouble},
		{"nothing", "", trouble},
	} {
		if got, err := check(service, strings.NewReader(c.in)); got != c.want {
			t.Errorf("%s: %d, not %d (%v)", c.name, got, c.want, err)
		}
	}
	if out, err := exec.Command("chage", "-E", "0", "masupam").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, _ := check(service, strings.NewReader("masupam\ncorrect horse 枡\n")); got != no {
		t.Errorf("an account that has ended: %d", got)
	}
}
