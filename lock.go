package masu

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Where a package of an image came from.
const (
	FromBase = "base" // the distribution's, as the base image brought it
	FromApt  = "apt"  // the distribution's, added or changed by the build
	FromPip  = "pip"
)

// Package is one that an image has, in the version that it has.
type Package struct {
	From    string `json:"from"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    string `json:"hash,omitempty"` // "sha256:…" of the file that pip fetched, where it told
}

// Lock says exactly what an image has. Noted at the end of each build inside the
// image, it is also the masu.lock beside a masu.yaml, which builds keep to.
type Lock struct {
	Environment string    `json:"environment,omitempty"` // key of the environment that it was made for, without a lock
	Image       ImageRef  `json:"image,omitempty"`       // the base
	Arch        string    `json:"arch,omitempty"`        // as Debian calls it: amd64, arm64
	Python      string    `json:"python,omitempty"`
	Packages    []Package `json:"packages,omitempty"` // by where they came from, then by name
}

const (
	lockMost     = 512 << 10 // bytes of its text
	lockPackages = 8000
	lockWord     = 256 // bytes of a name or a version: a repeat that counts to it would cost each start of the program
)

var lockForms = map[string]*regexp.Regexp{
	"environment": regexp.MustCompile(`^[0-9a-f]{12}$`),
	"image":       regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$`),
	"arch":        regexp.MustCompile(`^[a-z0-9-]+$`),
	"python":      regexp.MustCompile(`^[0-9][0-9a-z.+]*$`),
	FromBase:      regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`),
	FromApt:       regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`),
	FromPip:       regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`),
	"version":     regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~:!_-]*$`),
	"hash":        regexp.MustCompile(`^sha256:[0-9a-f]{64}$`),
}

// ParseLock reads the text of a lock: a line for each fact, "#" before comments.
// What is odd is Invalid "lock_invalid" with the line's number.
func ParseLock(text string) (Lock, error) {
	var l Lock
	if len(text) > lockMost {
		return l, E(Invalid, "lock_invalid", 0)
	}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if slices.ContainsFunc(words, func(w string) bool { return len(w) > lockWord }) || !l.take(words) || len(l.Packages) > lockPackages {
			return Lock{}, E(Invalid, "lock_invalid", number)
		}
	}
	slices.SortFunc(l.Packages, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.Name, b.Name))
	})
	for i := range l.Packages[min(1, len(l.Packages)):] {
		if a, b := l.Packages[i], l.Packages[i+1]; a.From == b.From && a.Name == b.Name {
			return Lock{}, E(Invalid, "lock_invalid", number)
		}
	}
	return l, nil
}

// take reads the words of a line.
func (l *Lock) take(words []string) bool {
	form := lockForms[words[0]]
	if form == nil || len(words) < 2 || !form.MatchString(words[1]) || words[0] == "version" || words[0] == "hash" {
		return false
	}
	heads := map[string]*string{"environment": &l.Environment, "image": (*string)(&l.Image), "arch": &l.Arch, "python": &l.Python}
	if head := heads[words[0]]; head != nil {
		if *head != "" || len(words) != 2 {
			return false
		}
		*head = words[1]
		return true
	}
	p := Package{From: words[0], Name: words[1]}
	switch {
	case len(words) == 4 && p.From == FromPip && lockForms["hash"].MatchString(words[3]):
		p.Hash = words[3]
	case len(words) != 3:
		return false
	}
	p.Version = words[2]
	l.Packages = append(l.Packages, p)
	return lockForms["version"].MatchString(p.Version)
}

// Text writes the lock as ParseLock reads it.
func (l Lock) Text() string {
	var b strings.Builder
	for _, h := range [][2]string{{"environment", l.Environment}, {"image", string(l.Image)}, {"arch", l.Arch}, {"python", l.Python}} {
		if h[1] != "" {
			b.WriteString(h[0] + " " + h[1] + "\n")
		}
	}
	for _, p := range l.Packages {
		b.WriteString(strings.TrimRight(p.From+" "+p.Name+" "+p.Version+" "+p.Hash, " ") + "\n")
	}
	return b.String()
}

// Holds tells whether an image that has what other says is as the lock wants it.
func (l Lock) Holds(other Lock) bool {
	return l.Arch == other.Arch && len(Compare(Contents{Lock: l}, Contents{Lock: other})) == 0
}

// Contents is what there is to know of an environment that was built.
type Contents struct {
	Name      string            `json:"name"`
	Image     string            `json:"image,omitempty"` // its ID; "" for a lock that was only read
	Env       Environment       `json:"environment,omitzero"`
	Text      string            `json:"text,omitempty"` // the masu.yaml that asks for it; "" where only a Dockerfile could
	Lock      Lock              `json:"lock"`
	Variables map[string]string `json:"variables,omitempty"` // of the project
}

// Difference is one in which two environments differ; "" means that the one has it not.
type Difference struct {
	Kind string `json:"kind"` // image, python, base, apt, pip, run, env
	Name string `json:"name,omitempty"`
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
}

// Compare tells how two environments differ, in an order that stays.
func Compare(a, b Contents) []Difference {
	var list []Difference
	add := func(kind, name, x, y string) {
		if x != y {
			list = append(list, Difference{kind, name, x, y})
		}
	}
	add("image", "", string(a.Lock.Image), string(b.Lock.Image))
	add("arch", "", a.Lock.Arch, b.Lock.Arch)
	add("python", "", a.Lock.Python, b.Lock.Python)
	add("locale", "", a.Env.Locale, b.Env.Locale)
	add("timezone", "", a.Env.Timezone, b.Env.Timezone)
	for _, from := range []string{FromBase, FromApt, FromPip} {
		x, y := a.Lock.versions(from), b.Lock.versions(from)
		for _, name := range eitherKey(x, y) {
			add(from, name, x[name], y[name])
		}
	}
	if a.Image != "" && b.Image != "" {
		add("run", "", strings.Join(a.Env.Run, "\n"), strings.Join(b.Env.Run, "\n"))
	}
	for _, name := range eitherKey(a.Variables, b.Variables) {
		add("env", name, a.Variables[name], b.Variables[name])
	}
	return list
}

func (l Lock) versions(from string) map[string]string {
	v := map[string]string{}
	for _, p := range l.Packages {
		if p.From == from {
			v[p.Name] = p.Version
		}
	}
	return v
}

func eitherKey(a, b map[string]string) []string {
	var names []string
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// RegistryAuth is what a member's own client knows of a registry. It is used once, and neither kept nor logged.
type RegistryAuth struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"` // an identity token, instead of both
}

// String keeps it out of logs.
func (RegistryAuth) String() string { return "(credentials)" }

// GoString keeps it out of logs.
func (RegistryAuth) GoString() string { return "(credentials)" }
