package host

import (
	"os"
	"os/exec"
	"os/user"
	"testing"
)

func TestProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	h := &Host{}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Process(cmd.Process.Pid)
	if err != nil || p.Login != me.Username || p.Command != "sleep" || p.UID != os.Getuid() {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := h.Process(1 << 30); err == nil {
		t.Error("a process that is not there is told about")
	}
}

func TestCommandName(t *testing.T) {
	for cmdline, want := range map[string]string{
		"": "", "/usr/bin/sleep\x0060\x00": "sleep", "python3\x00/home/a/train.py\x00--token=secret\x00": "python3 train.py",
		"/opt/conda/bin/python\x00-c\x00secret\x00": "python", "ollama\x00serve\x00": "ollama",
	} {
		if got := commandName(cmdline); got != want {
			t.Errorf("%q: %q", cmdline, got)
		}
	}
}
