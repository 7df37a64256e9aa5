package host

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"syscall"
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

// TestKernelOf: what a notebook's cell has begun belongs to its kernel too.
func TestKernelOf(t *testing.T) {
	const id = "8f3a6c1e-2b4d-4f60-9a7c-0123456789ab"
	kernel := exec.Command("sh", "-c", "sleep 60 & echo $!; wait", "-f", "/home/a/.local/share/jupyter/runtime/kernel-"+id+".json")
	kernel.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := kernel.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-kernel.Process.Pid, syscall.SIGKILL); _ = kernel.Wait() }()
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]string{kernel.Process.Pid: id, child: id, os.Getpid(): "", 1 << 30: ""} {
		if got := kernelOf(pid); got != want {
			t.Errorf("%d: %q, want %q", pid, got, want)
		}
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
