package mirror

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Record is a path as both sides had it when it was last alike.
type Record struct {
	Near Entry  `json:"near"`
	Far  Entry  `json:"far"`
	Sum  string `json:"sum,omitempty"` // SHA-256 of a file's content; "" was not read

	// Young is a file that was written shortly before: within a tick of its clock it
	// may have been written again, and shows nothing of it.
	Young bool `json:"young,omitempty"`
}

// Base is what was last alike.
type Base map[string]Record

// Side is one of the two.
type Side int

const (
	Near Side = iota // the folder here
	Far              // the box's
)

func (s Side) other() Side { return Far - s }

// Do is what is to be done about a path.
type Do string

const (
	Forget Do = "forget" // it is gone from both sides
	Settle Do = "settle" // both have it anew: alike, or in conflict
	Clear  Do = "clear"  // remove it from side At: the other has removed it, or has something else there
	Make   Do = "make"   // make the folder at side At
	Bring  Do = "bring"  // copy it to side At
	Skip   Do = "skip"   // side At cannot have it
)

// Step is one thing to do.
type Step struct {
	Do   Do
	Path string
	At   Side
	Why  string // of Skip: a code
	rank int
}

// Why a path is left alone.
const (
	WhyCase = "sync_case" // another name there differs in case only
	WhyName = "sync_name" // that system does not take the name, or no links
)

// view is what is planned from.
type view struct {
	base  Base
	now   [2]Picture
	rules [2]Rules
	keep  [2]map[string]bool // folders that hold something the other side must get
}

// Plan says what makes two sides alike: what one has changed goes to the other,
// what one has removed goes from the other if that has not changed it, and where
// both have changed, nothing is lost. It comes in the order in which it is to be
// done, and a step may be left out without harm.
func Plan(base Base, near, far Picture, nearRules, farRules Rules) []Step {
	v := view{base: base, now: [2]Picture{near, far}, rules: [2]Rules{nearRules, farRules}}
	paths := map[string]bool{}
	for _, m := range v.now {
		for p := range m {
			paths[p] = true
		}
	}
	for p := range base {
		paths[p] = true
	}
	v.keepers(paths)
	var steps []Step
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if s, ok := v.decide(p); ok {
			steps = append(steps, s)
		}
	}
	steps = v.fit(order(steps, v))
	slices.SortStableFunc(steps, func(a, b Step) int { return a.rank - b.rank })
	return steps
}

// changed tells whether a side has something new at a path.
func (v view) changed(s Side, p string) bool {
	e, there := v.now[s][p]
	return there && !v.base[p].at(s).same(e)
}

func (r Record) at(s Side) Entry {
	if s == Near {
		return r.Near
	}
	return r.Far
}

// keepers finds the folders of each side that hold something changed.
func (v *view) keepers(paths map[string]bool) {
	v.keep = [2]map[string]bool{{}, {}}
	for p := range paths {
		for _, s := range []Side{Near, Far} {
			if v.changed(s, p) {
				above(p, func(d string) bool { v.keep[s][d] = true; return true })
			}
		}
	}
}

// decide says what is to be done about one path.
func (v view) decide(p string) (Step, bool) {
	n, hasNear := v.now[Near][p]
	f, hasFar := v.now[Far][p]
	cn, cf := v.changed(Near, p), v.changed(Far, p)
	switch {
	case !hasNear && !hasFar:
		return Step{Do: Forget, Path: p}, true
	case hasNear && hasFar:
		switch {
		case n.Kind == Folder && f.Kind == Folder:
			_, known := v.base[p]
			return Step{Do: Settle, Path: p}, !known || cn || cf
		case cn && cf:
			return Step{Do: Settle, Path: p}, true
		case n.Kind == Folder || f.Kind == Folder: // one has put a folder in a file's place, or a file in a folder's
			return v.turned(p, cn), cn || cf
		case cn:
			return Step{Do: Bring, Path: p, At: Far}, true
		case cf:
			return Step{Do: Bring, Path: p, At: Near}, true
		}
		return Step{}, false
	case hasNear:
		return v.oneSided(p, Near, n, cn), true
	}
	return v.oneSided(p, Far, f, cf), true
}

// turned is for a path that is a folder at one side, where one side has changed.
// If the other's folder holds something new, both are kept.
func (v view) turned(p string, nearChanged bool) Step {
	from := Far
	if nearChanged {
		from = Near
	}
	at := from.other()
	if v.now[at][p].Kind == Folder && v.keep[at][p] {
		return Step{Do: Settle, Path: p}
	}
	if v.now[from][p].Kind == Folder {
		return Step{Do: Make, Path: p, At: at}
	}
	return Step{Do: Bring, Path: p, At: at}
}

// oneSided is for a path that only side s has.
func (v view) oneSided(p string, s Side, e Entry, changed bool) Step {
	switch {
	case e.Kind == Folder && (changed || v.keep[s][p]):
		return Step{Do: Make, Path: p, At: s.other()}
	case e.leaf() && changed:
		return Step{Do: Bring, Path: p, At: s.other()}
	}
	return Step{Do: Clear, Path: p, At: s} // the other has removed it
}

// Ranks of steps. Those of one rank do not depend on each other, but for the
// ones that must go in order.
const (
	rankRoom       = iota // leaves that stand in the way
	rankRoomFolder        // in order: folders likewise
	rankFolder            // in order
	rankSettle
	rankBring
	rankClear
	rankClearFolder // in order
	rankRest
)

// order puts what makes room before what needs it, and other removals last:
// what goes wrong in between takes nothing away.
func order(steps []Step, v view) []Step {
	fresh := [2]map[string]bool{{}, {}} // folded paths that a side gets anew
	for _, s := range steps {
		if s.Do == Bring || s.Do == Make {
			fresh[s.At][folded(s.Path)] = true
		}
	}
	for i, s := range steps {
		steps[i].rank = v.rank(s, fresh)
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		if a.Do == Clear { // what is inside a folder goes before the folder
			return strings.Compare(b.Path, a.Path)
		}
		return 0
	})
	return steps
}

func (v view) rank(s Step, fresh [2]map[string]bool) int {
	folder := v.now[Near][s.Path].Kind == Folder || v.now[Far][s.Path].Kind == Folder
	switch s.Do {
	case Clear:
		room := fresh[s.At][folded(s.Path)]
		above(s.Path, func(d string) bool {
			room = room || fresh[s.At][folded(d)] && v.now[s.At][d].Kind == Folder
			return !room
		})
		switch {
		case room && folder:
			return rankRoomFolder
		case room:
			return rankRoom
		case folder:
			return rankClearFolder
		}
		return rankClear
	case Make:
		return rankFolder
	case Settle:
		if folder {
			return rankFolder
		}
		return rankSettle
	case Bring:
		return rankBring
	}
	return rankRest
}

// folded is a name as a system that folds case knows it.
func folded(p string) string { return strings.ToLower(norm.NFC.String(p)) }

// fit leaves out what a side cannot have, and says so.
func (v view) fit(steps []Step) []Step {
	taken := [2]map[string]string{{}, {}} // folded → the path that has it
	for s, r := range v.rules {
		if !r.Folds {
			continue
		}
		for p := range v.now[s] {
			taken[s][folded(p)] = p
		}
	}
	refused := [2]map[string]bool{{}, {}}
	for i, s := range steps {
		at := s.At
		switch s.Do {
		case Clear:
			delete(taken[at], folded(s.Path))
			continue
		case Bring, Make:
		default:
			continue
		}
		e := v.now[at.other()][s.Path]
		why := ""
		if !v.rules[at].takes(s.Path, e) {
			why = WhyName
		} else if v.rules[at].Folds {
			if p, ok := taken[at][folded(s.Path)]; ok && p != s.Path {
				why = WhyCase
			}
			taken[at][folded(s.Path)] = s.Path
		}
		above(s.Path, func(d string) bool {
			if refused[at][d] {
				why = WhyName
			}
			return why == ""
		})
		if why != "" {
			refused[at][s.Path] = true
			steps[i] = Step{Do: Skip, Path: s.Path, At: at, Why: why, rank: rankRest}
		}
	}
	return steps
}
