package main

import (
	"debug/macho"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLaptops: masu builds for laptops that run no Linux, without symbols or
// paths of the machine that built it, and two builds are equal.
func TestLaptops(t *testing.T) {
	build := func() (dir, sums string) {
		t.Helper()
		dir = t.TempDir()
		out, err := exec.Command("make", "-C", "..", "--no-print-directory", "dist", "DIST="+dir, "PLATFORMS=darwin/arm64 windows/amd64", "VERSION=test", "COMMIT=test").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return dir, string(b)
	}
	dir, first := build()
	if _, second := build(); first != second || strings.Count(first, "\n") != 2 {
		t.Errorf("two builds differ:\n%s%s", first, second)
	}
	mac, err := macho.Open(filepath.Join(dir, "masu-darwin-arm64"))
	if err != nil {
		t.Fatal(err)
	}
	defer mac.Close()
	win, err := pe.Open(filepath.Join(dir, "masu-windows-amd64.exe"))
	if err != nil {
		t.Fatal(err)
	}
	defer win.Close()
	if mac.Cpu != macho.CpuArm64 || win.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || len(win.Symbols) > 0 {
		t.Errorf("%v, %#x, %d symbols", mac.Cpu, win.Machine, len(win.Symbols))
	}
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"masu-darwin-arm64", "masu-windows-amd64.exe"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), here+"/") {
			t.Errorf("%s knows where it was built", name)
		}
	}
}
