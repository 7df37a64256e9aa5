// Package text holds every sentence that masu says to people, in Japanese and
// English, by code.
//
// A sentence stands in one of the files of catalog/, one file an area:
//
//	"no_engine":     {"en": "No container engine answers at %[1]s.", "ja": "…"},
//	"no_engine.fix": {"en": "Start it: sudo systemctl start docker", "ja": "…"},
//
// Blanks are numbered (%[1]s) because the two languages order them differently.
// CODE says what happened and where; CODE.fix, which every error has, what to do.
package text

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/masu-lab/masu"
)

//go:embed catalog/*.json
var files embed.FS

type sentence map[masu.Lang]string

var catalog = sync.OnceValues(func() (map[string]sentence, error) {
	all := map[string]sentence{}
	names, err := fs.Glob(files, "catalog/*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var area map[string]sentence
		if err := json.Unmarshal(b, &area); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for code, s := range area {
			if _, twice := all[code]; twice {
				return nil, fmt.Errorf("%s: %q stands in another file too", name, code)
			}
			all[code] = s
		}
	}
	return all, nil
})

// Codes lists every code of the catalogue, sorted.
func Codes() []string {
	all, err := catalog()
	if err != nil {
		panic(err) // a test reads the same embedded files
	}
	return slices.Sorted(maps.Keys(all))
}

// Has tells whether the catalogue has a sentence for code.
func Has(code string) bool {
	all, _ := catalog()
	_, ok := all[code]
	return ok
}

// Say gives the sentence for code in lang, its blanks filled with args. A code
// without a sentence is given as it stands, with its args. What a terminal would
// obey, or what turns the order of letters round, is left out: names may hold it.
func Say(lang masu.Lang, code string, args ...any) string {
	all, _ := catalog()
	s, ok := all[code]
	if !ok {
		return strings.TrimSpace(code + " " + harmless(strings.TrimSuffix(fmt.Sprintln(args...), "\n")))
	}
	form := s[lang]
	if form == "" {
		form = s[masu.English]
	}
	if len(args) == 0 {
		return strings.ReplaceAll(form, "%%", "%")
	}
	return strings.TrimSpace(harmless(trimExtra(fmt.Sprintf(form, args...))))
}

// harmless is a text without control characters but for its line ends and tabs.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// trimExtra removes fmt's complaint about arguments that a sentence does not
// use: one language may say less than the other.
func trimExtra(s string) string {
	if i := strings.Index(s, "%!(EXTRA "); i >= 0 {
		return s[:i]
	}
	return s
}

// Strings is Say for arguments that came over the wire.
func Strings(lang masu.Lang, code string, args []string) string {
	anys := make([]any, len(args))
	for i, a := range args {
		anys[i] = a
	}
	return Say(lang, code, anys...)
}

// Error gives what happened and what to do about it. An error that is not for
// people is "internal": its cause belongs in the log.
func Error(lang masu.Lang, err error) (message, fix string) {
	e, ok := errors.AsType[*masu.Error](err)
	if !ok {
		e = masu.E(masu.Internal, "internal")
	}
	message = Strings(lang, e.Code, e.Args)
	if Has(e.Code + ".fix") {
		fix = Strings(lang, e.Code+".fix", e.Args)
	}
	return message, fix
}

// FromEnv tells the language that the variables of a shell ask for.
func FromEnv() masu.Lang {
	for _, v := range []string{"MASU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if s := os.Getenv(v); s != "" {
			if strings.HasPrefix(s, "ja") {
				return masu.Japanese
			}
			return masu.English
		}
	}
	return masu.English
}

// FromHeader tells the language that a browser asks for by Accept-Language:
// Japanese if it stands before English, or alone.
func FromHeader(accept string) masu.Lang {
	for part := range strings.SplitSeq(accept, ",") {
		switch tag, _, _ := strings.Cut(strings.TrimSpace(part), ";"); {
		case strings.HasPrefix(tag, "ja"):
			return masu.Japanese
		case strings.HasPrefix(tag, "en"):
			return masu.English
		}
	}
	return masu.English
}

// Fault says in few words what is wrong with a card.
func Fault(lang masu.Lang, f masu.Fault) string {
	if xid, ok := f.Xid(); ok {
		return Say(lang, "gpu_fault.xid", xid)
	}
	return Say(lang, "gpu_fault."+string(f))
}

// Near is a time by this host's clock, with its day where that is not today.
func Near(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("01-02 15:04")
}
