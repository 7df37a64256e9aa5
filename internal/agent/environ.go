package agent

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

const (
	plainPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	venv      = "/opt/masu/venv"
	profile   = "/etc/profile.d/masu.sh"
)

var (
	fleeting = []string{"PWD", "OLDPWD", "SHLVL", "_"} // a shell's own
	// personal are the variables that are one user's, and not the box's.
	personal = []string{"HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "TERM", "PATH", "MASU_BOX", "HOSTNAME"}
)

// variables are what the member's programs see: the image's, then masu's, then
// the member's own wishes, then what says who they are.
func (i image) variables(spec masu.AgentSpec, own []string) []string {
	env := map[string]string{}
	for _, kv := range own {
		name, value, ok := strings.Cut(kv, "=")
		if ok && !strings.HasPrefix(name, "MASU_") && !slices.Contains(fleeting, name) {
			env[name] = value
		}
	}
	path := memberPath(i, spec)
	env["TERM"] = "xterm-256color"
	if spec.Lang != "" {
		env["MASU_LANG"] = string(spec.Lang)
	}
	i.locale(env, spec.Locale)
	if tz := i.timezone(spec.Timezone); tz != "" {
		env["TZ"] = tz
	}
	maps.Copy(env, spec.Env)
	maps.Copy(env, map[string]string{
		"HOME": spec.User.Home, "USER": string(spec.User.Name), "LOGNAME": string(spec.User.Name),
		"SHELL": i.shell(), "PATH": path, "XDG_RUNTIME_DIR": fmt.Sprintf("/run/user/%d", spec.User.UID), "MASU_BOX": "1",
	})
	if i.has(venv + "/bin") {
		env["VIRTUAL_ENV"] = venv
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// memberPath puts the environment's own Python first, then what the member has installed for themselves.
func memberPath(i image, spec masu.AgentSpec) string {
	path := os.Getenv("PATH")
	if path == "" {
		path = plainPath
	}
	var first []string
	if i.has(venv + "/bin") {
		first = append(first, venv+"/bin")
	}
	parts := append(first, spec.User.Home+"/.local/bin")
	for p := range strings.SplitSeq(path, ":") {
		if p != "" && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ":")
}

// locale sets the wished language where the image has it; otherwise the
// image's own stays, and one that is not of UTF-8 becomes the plainest one that is.
func (i image) locale(env map[string]string, wish string) {
	if wish != "" && i.hasLocale(wish) {
		env["LANG"] = wish
		delete(env, "LC_ALL")
		return
	}
	for _, name := range []string{"LC_ALL", "LANG"} {
		if isUTF8(env[name]) {
			return
		}
	}
	delete(env, "LC_ALL")
	env["LANG"] = "C.UTF-8"
}

func isUTF8(locale string) bool {
	_, codeset, _ := strings.Cut(strings.ToLower(locale), ".")
	return strings.HasPrefix(codeset, "utf-8") || strings.HasPrefix(codeset, "utf8")
}

var localeName = regexp.MustCompile(`^[A-Za-z_]+(\.[A-Za-z0-9-]+)?(@[a-z]+)?$`)

// hasLocale looks where the C library does: a folder, or a name in its archive.
func (i image) hasLocale(name string) bool {
	if !localeName.MatchString(name) {
		return false
	}
	language, rest, _ := strings.Cut(name, ".")
	codeset, at, _ := strings.Cut(rest, "@")
	stored := language
	if codeset != "" {
		stored += "." + strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
	}
	if at != "" {
		stored += "@" + at
	}
	if i.has("/usr/lib/locale/"+stored) || i.has("/usr/lib/locale/"+name) {
		return true
	}
	archive, err := os.ReadFile(i.at("/usr/lib/locale/locale-archive"))
	return err == nil && bytes.Contains(archive, []byte("\x00"+stored+"\x00"))
}

// timezone gives a TZ that the image's programs understand; "" if there is none.
func (i image) timezone(zone string) string {
	if zone == "" || !filepath.IsLocal(zone) {
		return ""
	}
	if fi, err := os.Stat(i.at("/usr/share/zoneinfo/" + zone)); err == nil && fi.Mode().IsRegular() {
		return zone
	}
	if zone == "Asia/Tokyo" { // said without the table of zones, which slim images lack
		return "JST-9"
	}
	return ""
}

// profile makes login shells, and interactive ones that the engine starts
// ("docker exec -u"), see the same variables. PATH is set again always,
// because /etc/profile has just reset it.
func (i image) profile(env []string) {
	var set strings.Builder
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if !slices.Contains(personal, name) && variableName.MatchString(name) {
			fmt.Fprintf(&set, "  export %s=%s\n", name, quote(value))
		}
	}
	text := "# Written by masu at each start of the box.\nexport PATH=" + quote(lookup(env, "PATH")) + "\n" +
		"if [ -z \"${MASU_BOX-}\" ]; then\n" + set.String() + "  export MASU_BOX=1\nfi\n"
	i.edit(profile, 0o644, func(string) string { return text })
	if i.has("/etc/bash.bashrc") {
		i.edit("/etc/bash.bashrc", 0o644, func(old string) string {
			if strings.Contains(old, profile) {
				return old
			}
			return old + "\n[ -n \"${MASU_BOX-}\" ] || . " + profile + "\n"
		})
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// quote makes any text one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
