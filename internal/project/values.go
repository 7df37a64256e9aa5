package project

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/distribution/reference"

	"github.com/masu-lab/masu"
)

var (
	aptName     = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?$`)
	pythonForm  = regexp.MustCompile(`^3\.[0-9]{1,2}$`)
	versionForm = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?$`)
	wheelTag    = regexp.MustCompile(`^(cpu|cu[0-9]{2,3})$`)
	cudaVersion = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]$`)
	sizeForm    = regexp.MustCompile(`^([0-9]{1,7})(\.[0-9]{1,2})? ?(KiB|MiB|GiB|TiB)$`)
	wholeForm   = regexp.MustCompile(`^(0|[1-9][0-9]{0,3})$`)
	decimalForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?$`)
	modelForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$`)
	localeForm  = regexp.MustCompile(`^(C|[a-z]{2,3}_[A-Z]{2})(\.UTF-8)?$`)
	zoneForm    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	portApp     = regexp.MustCompile(`^p[0-9]+$`)
)

// validApt tells whether s is a Debian package's name, perhaps with a version.
// A "+" or "-" at the end is an instruction to apt (install, remove), unless
// it is the "++" of a C++ package.
func validApt(s string) bool {
	name, _, _ := strings.Cut(s, "=")
	return len(s) <= 200 && aptName.MatchString(s) && !strings.HasSuffix(name, "-") &&
		(!strings.HasSuffix(name, "+") || strings.HasSuffix(name, "++"))
}

// image checks an image reference and gives it in its shortest form. An
// image's ID is refused: it would name what somebody else has built.
func image(s string) (masu.ImageRef, bool) {
	if len(s) > 400 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil || reference.FamiliarName(named) == "sha256" {
		return "", false
	}
	return masu.ImageRef(reference.FamiliarString(named)), true
}

// size reads an amount such as "8GiB" or "1.5 GiB".
func size(s string) (masu.Bytes, bool) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1]+m[2], 64)
	if err != nil || n == 0 {
		return 0, false
	}
	unit := map[string]masu.Bytes{"KiB": masu.KiB, "MiB": masu.MiB, "GiB": masu.GiB, "TiB": 1024 * masu.GiB}[m[3]]
	total := n * float64(unit)
	if total > float64(1<<50) {
		return 0, false
	}
	return masu.Bytes(total), true
}

// cudaTag reads "cu118", "cpu" or "11.8".
func cudaTag(s string) (string, bool) {
	if cudaVersion.MatchString(s) {
		s = "cu" + strings.ReplaceAll(s, ".", "")
	}
	return s, wheelTag.MatchString(s)
}

// reserved tells whether a variable is masu's, the GPU runtime's or the
// dynamic linker's. What the container hooks of the host read must never be a
// member's word.
func reserved(name string) bool {
	for _, p := range []string{"LD_", "NVIDIA_", "MASU_", "JUPYTER_", "DOCKER_RESOURCE", "SWARM_RESOURCE", "GODEBUG"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return strings.Contains(name, "RESOURCE_GPU") || slices.Contains([]string{
		"CUDA_VISIBLE_DEVICES", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "IFS",
		"BASH_ENV", "ENV", "GLIBC_TUNABLES", "GCONV_PATH",
	}, name)
}

// plain tells whether s is free of characters that end a line or hide something.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
			unicode.Is(unicode.Bidi_Control, r) || r == '\ufeff' || r == unicode.ReplacementChar
	})
}

// plainScript is plain for text of several lines.
func plainScript(s string) bool {
	return plain(strings.NewReplacer("\n", "", "\t", "").Replace(s))
}

// show quotes what a member wrote for a message: short, and without power over a terminal.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
