package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// mostCommand is how long a command of an app may be.
const mostCommand = 4096

// commandAt tells by which command the program that listens at a port was begun,
// as a line for the shell in the project folder; "" where that cannot be seen.
func commandAt(port, uid int, work string) string {
	wanted := map[string]bool{}
	for _, s := range listeners() {
		if s.listens && int(s.local.Port()) == port {
			wanted[fmt.Sprintf("socket:[%d]", s.inode)] = true
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	slices.SortFunc(processes, func(a, b string) int { return number(a) - number(b) })
	for _, dir := range processes { // the oldest that holds it: the others were begun by that one
		fi, err := os.Stat(dir)
		if err != nil || int(fi.Sys().(*syscall.Stat_t).Uid) != uid || !holds(dir, wanted) {
			continue
		}
		argv, _ := os.ReadFile(dir + "/cmdline") // a process may end at any time
		at, _ := os.Readlink(dir + "/cwd")
		return commandLine(string(argv), at, work)
	}
	return ""
}

func number(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(dir))
	return n
}

// holds tells whether a process has one of these open.
func holds(dir string, wanted map[string]bool) bool {
	open, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return false
	}
	for _, f := range open {
		if to, err := os.Readlink(dir + "/fd/" + f.Name()); err == nil && wanted[to] {
			return true
		}
	}
	return false
}

// commandLine writes what a process was begun with as a line for the shell, in the folder where it was.
func commandLine(argv, at, work string) string {
	if argv == "" || len(argv) > mostCommand || !utf8.ValidString(argv) {
		return ""
	}
	var words []string
	for _, word := range bytes.Split([]byte(strings.TrimSuffix(argv, "\x00")), []byte{0}) {
		words = append(words, shellWord(string(word)))
	}
	line := strings.Join(words, " ")
	if below, err := filepath.Rel(work, at); at != "" && err == nil && below != "." {
		if !filepath.IsLocal(below) {
			below = at
		}
		line = "cd " + shellWord(below) + " && " + line
	}
	if len(line) > mostCommand || strings.ContainsFunc(line, unicode.IsControl) {
		return ""
	}
	return line
}

// shellWord quotes what the shell would not take as one word.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return quote(s)
}
