package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/masu-lab/masu"
)

// image is the file system of the box; root is "/" but in tests. Its account
// files are written directly: slim images have no useradd.
type image struct {
	root string
	say  func(error) // told what could not be done but need not end the box
}

func (i image) at(path string) string { return filepath.Join(i.root, path) }

func (i image) has(path string) bool {
	_, err := os.Stat(i.at(path))
	return err == nil
}

func (i image) shell() string {
	if i.has("/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// account makes the image know the member. Root needs no account.
func (i image) account(spec masu.AgentSpec) {
	u := spec.User
	if u.UID == 0 {
		return
	}
	name := string(u.Name)
	i.known(u, i.shell())
	if i.has("/etc/shadow") {
		i.edit("/etc/shadow", 0o640, func(text string) string { // "*": no password opens it
			return upsert(text, name+":*:19000:0:99999:7:::", name, "")
		})
	}
	i.sudo(spec)
}

// known writes the member and their groups into the files that everybody may read.
func (i image) known(u masu.User, shell string) {
	name, uid := string(u.Name), strconv.Itoa(u.UID)
	i.edit("/etc/group", 0o644, func(text string) string { return addGroups(text, u) })
	i.edit("/etc/passwd", 0o644, func(text string) string {
		return upsert(text, fmt.Sprintf("%s:x:%d:%d::%s:%s", name, u.UID, u.GID, u.Home, shell), name, uid)
	})
}

// upsert replaces the lines of a colon-separated file that have the name, or
// the number in their third field, and otherwise adds the line: an account of
// the image's with the member's name or number gives way.
func upsert(text, line, name, id string) string {
	var out strings.Builder
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		f := strings.Split(l, ":")
		if l == "" || f[0] == name || id != "" && len(f) > 2 && f[2] == id {
			continue
		}
		out.WriteString(l + "\n")
	}
	return out.String() + line + "\n"
}

// addGroups makes the member's groups known. A group of the image's with one
// of the numbers keeps its name and its members; one with the member's own
// name but another number gives way.
func addGroups(text string, u masu.User) string {
	groups := append([]masu.Group{{Name: string(u.Name), GID: u.GID}}, u.Groups...)
	var lines []string
	known := map[int]bool{}
	names := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		f := strings.Split(l, ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.Atoi(f[2])
		if err != nil || f[0] == string(u.Name) && gid != u.GID {
			continue
		}
		if gid != u.GID && slices.ContainsFunc(u.Groups, func(g masu.Group) bool { return g.GID == gid }) {
			members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
			if !slices.Contains(members, string(u.Name)) {
				f[3] = strings.Join(append(members, string(u.Name)), ",")
			}
		}
		known[gid], names[f[0]] = true, true
		lines = append(lines, strings.Join(f, ":"))
	}
	for n, g := range groups {
		if known[g.GID] {
			continue
		}
		known[g.GID] = true
		for names[g.Name] { // the image's own group of that name has another number
			g.Name = "host-" + g.Name
		}
		names[g.Name] = true
		member := ""
		if n > 0 {
			member = string(u.Name)
		}
		lines = append(lines, fmt.Sprintf("%s:x:%d:%s", g.Name, g.GID, member))
	}
	return strings.Join(lines, "\n") + "\n"
}

// edit changes a file of the image in one step, keeping its owner and mode.
func (i image) edit(path string, mode fs.FileMode, change func(string) string) {
	if err := i.tryEdit(path, mode, change); err != nil {
		i.say(fmt.Errorf("%s stays as it is: %w", path, err))
	}
}

func (i image) tryEdit(path string, mode fs.FileMode, change func(string) string) error {
	path = i.at(path)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := []byte(change(string(old)))
	if err == nil && string(text) == string(old) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	uid, gid := 0, 0
	if fi, err := os.Stat(path); err == nil {
		st := fi.Sys().(*syscall.Stat_t) // what Linux gives
		uid, gid, mode = int(st.Uid), int(st.Gid), fi.Mode().Perm()
	}
	next := path + ".masu"
	if err := replace(next, path, text, mode, uid, gid); err == nil {
		return nil
	}
	os.Remove(next)
	return os.WriteFile(path, text, mode) // a file that is mounted by itself cannot be renamed over
}

func replace(next, path string, text []byte, mode fs.FileMode, uid, gid int) error {
	if err := os.WriteFile(next, text, mode); err != nil {
		return err
	}
	if err := os.Chmod(next, mode); err != nil { // whatever the umask
		return err
	}
	if err := os.Chown(next, uid, gid); err != nil && os.Geteuid() == 0 {
		return err
	}
	return os.Rename(next, path)
}

// ownSudo is where masu's word stands when sudo is off; it comes before the real one in PATH.
const ownSudo = "/usr/local/bin/sudo"

// sudo lets the member be root in the box, or says why not.
func (i image) sudo(spec masu.AgentSpec) {
	const rules = "/etc/sudoers.d/masu"
	old, _ := os.ReadFile(i.at(ownSudo))
	ours := strings.Contains(string(old), "# masu:")
	if spec.Sudo {
		if ours {
			os.Remove(i.at(ownSudo))
		}
		if i.has("/etc/sudoers.d") {
			i.edit(rules, 0o440, func(string) string { return sudoers(string(spec.User.Name), memberPath(i, spec)) })
		}
		return
	}
	os.Remove(i.at(rules))
	if old == nil || ours {
		w := wordsIn(spec.Lang)
		script := "#!/bin/sh\n# masu: sudo is off here\ncat >&2 <<'END'\n" + w.noSudo(spec.NoSudo) + "\nEND\nexit 1\n"
		i.edit(ownSudo, 0o755, func(string) string { return script })
	}
}

// sudoers gives sudo without a password, the member's own PATH, so that
// "sudo pip" is the pip they know, and the network settings of the site.
func sudoers(name, path string) string {
	text := "# Written by masu at each start of the box.\n" + name + " ALL=(ALL:ALL) NOPASSWD: ALL\n" +
		"Defaults !log_allowed\n" // a box may not write to the host's audit log, and sudo would complain each time
	if !strings.ContainsAny(path, "\"\\\n") {
		text += `Defaults secure_path="` + path + "\"\n"
	}
	return text + `Defaults env_keep += "http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ` +
		`SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT PIP_INDEX_URL GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS ` +
		`LANG LC_ALL TZ DEBIAN_FRONTEND"` + "\n"
}
