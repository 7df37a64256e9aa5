package mirror

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
)

// IgnoreFile names what is not kept alike, in the syntax of .gitignore's common
// part: one pattern a line, # begins a comment, ! takes back, ** is any depth.
const IgnoreFile = ".masuignore"

// always is left out where IgnoreFile does not take it back: what two machines
// must not write at once, what fits one machine only, and what programs make anew.
var always = []string{".git", ".venv", "node_modules", "__pycache__", ".ipynb_checkpoints", ".DS_Store"}

const (
	mostIgnore   = 64 << 10
	mostPatterns = 1000
)

// Ignore says what is left out. None leaves nothing out.
type Ignore struct {
	mu sync.Mutex // the matcher compiles its patterns as they are needed
	m  *patternmatcher.PatternMatcher
}

// ReadIgnore reads a side's IgnoreFile.
func ReadIgnore(t Tree) (*Ignore, error) {
	f, err := t.Open(IgnoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ParseIgnore(strings.NewReader(""))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseIgnore(f)
}

// ParseIgnore reads patterns. One without a slash, but for one at the end, counts
// in every folder; one with a slash counts from the top, as with git.
func ParseIgnore(r io.Reader) (*Ignore, error) {
	var all []string
	for _, name := range always {
		all = append(all, "**/"+name)
	}
	s := bufio.NewScanner(io.LimitReader(r, mostIgnore))
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		body, not := strings.CutPrefix(line, "!")
		body = strings.TrimSuffix(body, "/")
		switch {
		case body == "":
			continue
		case !strings.Contains(body, "/"):
			body = "**/" + body
		default:
			body = strings.TrimPrefix(body, "/")
		}
		if not {
			body = "!" + body
		}
		if all = append(all, body); len(all) > mostPatterns {
			return nil, errIgnore
		}
	}
	if err := s.Err(); err != nil {
		return nil, errors.Join(errIgnore, err)
	}
	m, err := patternmatcher.New(all)
	if err == nil {
		_, err = m.MatchesOrParentMatches("x") // which compiles them
	}
	if err != nil {
		return nil, errors.Join(errIgnore, err)
	}
	return &Ignore{m: m}, nil
}

// Match tells whether a path is left out.
func (i *Ignore) Match(p string) bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	out, err := i.m.MatchesOrParentMatches(p)
	return err == nil && out
}
