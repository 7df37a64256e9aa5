package recipe

import (
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// system is what a base image's name tells about what is in it; "" is unknown.
type system struct {
	key    string // "debian:trixie", as in the table
	python string // the Python that is there, or that the distribution calls python3
	inside bool   // that Python is in the image already (python:3.11-slim)
	glibc  string
	cuda   string // CUDA toolkit of the image, "11.8.0"
}

var (
	ubuntuTag  = regexp.MustCompile(`ubuntu-?(\d\d\.\d\d)`)
	cudaInTag  = regexp.MustCompile(`^(\d+\.\d+\.\d+)-`)
	pythonTag  = regexp.MustCompile(`^(3\.\d+)([.-]|$)`)
	otherLinux = regexp.MustCompile(`alpine|rocky|centos|fedora|ubi\d|opensuse|archlinux|oraclelinux|amazonlinux|almalinux`)
)

// split takes a reference apart into the last part of its name and its tag.
func split(ref masu.ImageRef) (name, tag string) {
	s, _, _ := strings.Cut(string(ref), "@")
	s = s[strings.LastIndex(s, "/")+1:]
	name, tag, _ = strings.Cut(s, ":")
	return name, tag
}

// Suite gives the Debian suite of an image that can be made from Debian's own
// packages: plain debian of the official name only.
func Suite(ref masu.ImageRef) (suite string, ok bool) {
	s := strings.TrimPrefix(strings.TrimPrefix(string(ref), "docker.io/"), "library/")
	if strings.ContainsAny(s, "/@") {
		return "", false
	}
	name, tag := split(masu.ImageRef(s))
	if name != "debian" {
		return "", false
	}
	key := debianKey(tag)
	return strings.TrimPrefix(key, "debian:"), key != ""
}

// debianKey knows a Debian release by its name or number; no tag at all is the newest.
func debianKey(tag string) string {
	first, _, _ := strings.Cut(tag, "-")
	number, _, _ := strings.Cut(first, ".")
	for key, row := range versions().Distros {
		name, debian := strings.CutPrefix(key, "debian:")
		if debian && (first == name || number == row.Version) {
			return key
		}
	}
	if first == "" || first == "latest" || first == "stable" {
		return "debian:trixie"
	}
	return ""
}

func ubuntuKey(tag string) string {
	for key, row := range versions().Distros {
		name, ubuntu := strings.CutPrefix(key, "ubuntu:")
		if ubuntu && (strings.HasPrefix(tag, name) || strings.HasPrefix(tag, row.Version)) {
			return key
		}
	}
	return ""
}

// systemOf reads a base image's name.
func systemOf(ref masu.ImageRef) (system, error) {
	name, tag := split(ref)
	if otherLinux.MatchString(string(ref)) {
		return system{}, masu.E(masu.Invalid, "base_not_debian", ref, defaultBase)
	}
	var s system
	switch {
	case name == "debian":
		s.key = debianKey(tag)
	case name == "ubuntu":
		s.key = ubuntuKey(tag)
	case ubuntuTag.MatchString(tag):
		s.key = ubuntuKey(ubuntuTag.FindStringSubmatch(tag)[1])
	default:
		s.key = codename(tag)
	}
	row := versions().Distros[s.key]
	s.python, s.glibc = row.Python, row.Glibc
	if name == "cuda" {
		if m := cudaInTag.FindStringSubmatch(tag); m != nil {
			s.cuda = m[1]
		}
	}
	if m := pythonTag.FindStringSubmatch(tag); m != nil && name == "python" {
		s.python, s.inside = m[1], true
	}
	return s, nil
}

// codename finds a distribution's code name among the words of a tag.
func codename(tag string) string {
	words := strings.FieldsFunc(tag, func(r rune) bool { return r == '-' || r == '.' || r == '_' })
	for key := range versions().Distros {
		_, name, _ := strings.Cut(key, ":")
		if slices.Contains(words, name) {
			return key
		}
	}
	return ""
}

// ubuntu tells whether the system is known to be Ubuntu.
func (s system) ubuntu() bool { return strings.HasPrefix(s.key, "ubuntu:") }
