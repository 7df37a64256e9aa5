package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func TestRequirementsThatAreGood(t *testing.T) {
	for _, s := range []string{
		"numpy", "numpy==1.26.4", "numpy == 1.26.4", "numpy (>=1.2)", "A", "zope.interface>=5,<6", "jax[cuda12]", "jax[cuda12, tpu] ~= 0.4",
		"x[]", "torch==2.0.1+cu118", "scipy!=1.9.*", "a===1.0-local", "b>1,>=2,<3",
		`numpy<2; python_version < "3.9"`, `x ; python_version>='3.8' and (sys_platform == "linux" or extra == 'dev')`,
		`x; "linux" in sys_platform`, `x;platform_machine not in "arm64 aarch64"`, "x1-y_z.w",
	} {
		if got, err := requirement(place{"r", 1, 1}, s); err != nil || got != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	if got, err := requirement(place{}, "  numpy\t<2 "); err != nil || got != "numpy <2" {
		t.Errorf("blanks: %q, %v", got, err)
	}
}

// TestRequirementsThatAreNot has rows S9 and S10.
func TestRequirementsThatAreNot(t *testing.T) {
	for _, c := range []struct{ line, code string }{
		{"numpy\nUSER root\nRUN id", "pip_line"}, {"x\r\nRUN", "pip_line"}, {"x\\\nRUN", "pip_line"}, {"x\u2028y", "pip_line"},
		{"x\x00y", "pip_line"}, {"x\u0085RUN", "pip_line"}, {"ｎｕｍｐｙ", "pip_line"}, {"", "pip_line"}, {" ", "pip_line"},
		{"numpy;id", "pip_line"}, {"numpy; $(id)", "pip_line"}, {"numpy `id`", "pip_line"}, {"numpy pandas", "pip_line"}, {"numpy==", "pip_line"},
		{"numpy=1.2", "pip_line"}, {"numpy==1.2,", "pip_line"}, {"numpy (==1.2", "pip_line"}, {"numpy[cuda", "pip_line"}, {"-", "pip_option"},
		{`x; python_version`, "pip_line"}, {`x; python_version < 3.9`, "pip_line"}, {`x; evil == "1"`, "pip_line"}, {`x; "a" == "b" and`, "pip_line"},
		{"x; " + strings.Repeat("(", 500) + `"a"=="b"` + strings.Repeat(")", 500), "pip_line"},
		{strings.Repeat("x", 1001), "pip_line"},
		{"--index-url=http://evil", "pip_option_index"}, {"--extra-index-url http://evil", "pip_option_index"}, {"-ihttp://evil", "pip_option_index"},
		{"-f dir", "pip_option_index"}, {"--trusted-host evil", "pip_option_index"},
		{"-e git+https://example.com/x", "pip_option_editable"}, {"-e.", "pip_option_editable"}, {"-r /etc/passwd", "pip_option_file"}, {"-c x.txt", "pip_option_file"},
		{"--config-settings=a=b", "pip_option"}, {"--pre", "pip_option"}, {"numpy --config-settings=x=y", "pip_option"},
		{"numpy --global-option=x", "pip_option"}, {"numpy==1.0 --hash=sha256:00", "pip_option_hash"}, {`numpy; os_name == "nt" --hash=sha256:0`, "pip_option_hash"},
		{"pkg @ file:///etc", "pip_address"}, {"pkg @ https://example.com/x.whl", "pip_address"}, {"pkg@git+ssh://x", "pip_address"},
		{"git+https://example.com/x", "pip_address"}, {"./dist/x.whl", "pip_address"}, {"../x", "pip_address"}, {"/tmp/x", "pip_address"},
	} {
		_, err := requirement(place{"requirements.txt", 7, 1}, c.line)
		t.Run(c.line[:min(30, len(c.line))], func(t *testing.T) { refused(t, err, c.code, "requirements.txt:7:1") })
		_, err = Read(files("masu.yaml", "pip: ["+quote(c.line)+"]"), "")
		if err == nil {
			t.Errorf("masu.yaml lets %q through", c.line)
		}
	}
}

func TestRequirementsFile(t *testing.T) {
	f := files("requirements.txt", "# all of it\r\n\r\nnumpy==1.26.4  # pinned\r\n  pandas\n-r more/dev.txt\nnumpy==1.26.4\n",
		"more/dev.txt", "--requirement=../last.txt\npytest#x\n", "last.txt", "ruff # the end")
	_, err := Read(f, "")
	refused(t, err, "pip_line", "more/dev.txt:2:1") // pip, too, wants a blank before the #
	f.MapFS["more/dev.txt"].Data = []byte("--requirement=../last.txt\npytest\n")
	want := []string{"numpy==1.26.4", "pandas", "ruff", "pytest"}
	if d := cmp.Diff(want, read(t, f, "").Environment.Pip); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ text, code, at string }{
		{"numpy\n  -r /etc/passwd", "path_outside", "requirements.txt:2:3"},
		{"-r ../../etc/passwd", "path_outside", "requirements.txt:1:1"},
		{"-r ~/x.txt", "path_outside", "requirements.txt:1:1"},
		{"-r requirements.txt", "pip_include_deep", "requirements.txt:1:1"},
		{"-r ./requirements.txt", "pip_include_deep", "requirements.txt:1:1"},
		{"-r loop.txt", "pip_include_deep", "loop.txt:1:1"},
		{"-r no.txt", "file_missing", "no.txt"},
		{"numpy \\\n  --hash=sha256:00", "pip_continued", "requirements.txt:1:1"},
		{"-i https://example.com/simple\nnumpy", "pip_option_index", "requirements.txt:1:1"},
		{"torch==2.0.1\n\n# c\nx y", "pip_line", "requirements.txt:4:1"},
	} {
		_, err := Read(files("requirements.txt", c.text, "loop.txt", "-r requirements.txt"), "")
		t.Run(c.text, func(t *testing.T) { refused(t, err, c.code, c.at) })
	}
	// A file may stand twice in the list, as long as it does not contain itself.
	if _, err := Read(files("requirements.txt", "-r a.txt\n-r a.txt", "a.txt", "x"), ""); err != nil {
		t.Error(err)
	}
}

// TestApt is row S11.
func TestApt(t *testing.T) {
	for _, s := range []string{"git", "g++", "libstdc++6", "python3.11", "vim=2:9.0.1378-2+deb12u2", "0ad", "linux-image-6.1~rc1=1"} {
		if ok := validApt(s); ok != !strings.Contains(s, "~rc1=") {
			t.Errorf("%q: %v", s, ok)
		}
	}
	for _, s := range []string{
		"-oAPT::Update::Pre-Invoke::=id", "vim;id", "/tmp/x.deb", "./x.deb", "vim+", "vim-", "vim/sid", "vim-=1", "v", "Vim", "vim git", "vim\nRUN id", "lib.*",
		"vim\\", "vim\u2028", "vim=", "vim=1=2", "vim=$(id)", "", "^standard", "~nvim", strings.Repeat("v", 201), "vim:amd64", "--", "ｖｉｍ",
	} {
		_, err := Read(files("masu.yaml", "apt: ["+quote(s)+"]"), "")
		t.Run(s, func(t *testing.T) { refused(t, err, "apt_name", "masu.yaml:1:7") })
	}
	_, err := Read(files("apt.txt", "git\n# two on a line\nvim nano"), "")
	refused(t, err, "apt_name", "apt.txt:3:1")
}

// TestImage is row S12.
func TestImage(t *testing.T) {
	for s, want := range map[string]masu.ImageRef{
		"debian": "debian", "debian:trixie-slim": "debian:trixie-slim", "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04": "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04",
		"registry.lab:5000/a/b_c:1": "registry.lab:5000/a/b_c:1", "localhost/x": "localhost/x",
		"x@sha256:" + strings.Repeat("a", 64): masu.ImageRef("x@sha256:" + strings.Repeat("a", 64)),
	} {
		if got, ok := image(s); !ok || got != want {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"--privileged", "a b", "x\nRUN y", "../../x", "-v/:/h", strings.Repeat("a", 5000), "", "Debian", "x:", "x:y:z", "/x", "x\u2028", "a//b", "$(id)",
		strings.Repeat("a", 64), "sha256:" + strings.Repeat("a", 64), "https://example.com/x", "x@sha256:short", "scratch ", "image:tag#x",
	} {
		_, err := Read(files("masu.yaml", "base: "+quote(s)), "")
		t.Run(s[:min(30, len(s))], func(t *testing.T) { refused(t, err, "image_name", "masu.yaml:1:7") })
	}
}

func FuzzRequirement(f *testing.F) {
	for _, s := range []string{"numpy==1.0", "x[a,b]; os_name=='nt'", "-r x", "a @ b", "x --hash=sha256:0", "x(>1)", "x\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := requirement(place{}, line)
		if err == nil && (!plain(s) || s == "" || s[0] == '-' || strings.Contains(s, " --") || strings.Contains(s, "://") && !strings.Contains(s, ";")) {
			t.Errorf("%q is let through as %q", line, s)
		}
		if again, err2 := requirement(place{}, s); err == nil && (err2 != nil || again != s) {
			t.Errorf("%q is not stable: %q, %v", s, again, err2)
		}
	})
}

func FuzzImage(f *testing.F) {
	for _, s := range []string{"debian:12", "a/b@sha256:" + strings.Repeat("a", 64), "-v", "x:y", "sha256:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, ok := image(s)
		if ok && (strings.HasPrefix(string(ref), "-") || strings.ContainsAny(string(ref), " \n\r\t$\\\"'") || !plain(string(ref))) {
			t.Errorf("%q is let through as %q", s, ref)
		}
		if again, ok2 := image(string(ref)); ok && (!ok2 || again != ref) {
			t.Errorf("%q is not stable: %q", ref, again)
		}
	})
}
