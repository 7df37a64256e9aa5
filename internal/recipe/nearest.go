package recipe

import (
	"cmp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

const nearestMost = 3

// Nearest lists existing images that can stand for one that its maker has
// withdrawn, the nearest first: NVIDIA deletes tags some months after their
// end of life. Only tags of the table are offered; of other repositories none.
func Nearest(ref masu.ImageRef, v *Versions) []masu.ImageRef {
	t := v.rows()
	name, tag := split(ref)
	repository := t.Images.Repository
	_, last, _ := strings.Cut(repository, "/")
	asked, rest, _ := strings.Cut(tag, "-")
	if name != last || !strings.HasSuffix(strings.SplitN(string(ref), ":", 2)[0], repository) || !dotted.MatchString(asked) {
		return nil
	}
	type near struct {
		ref   masu.ImageRef
		score [4]int
	}
	var all []near
	for cuda, row := range t.Images.CUDNN {
		for _, have := range row.Tags {
			_, words, _ := strings.Cut(have, "-")
			all = append(all, near{masu.ImageRef(repository + ":" + have), distance(asked, rest, cuda, words)})
		}
	}
	slices.SortFunc(all, func(a, b near) int {
		return cmp.Or(slices.Compare(a.score[:], b.score[:]), cmp.Compare(a.ref, b.ref))
	})
	var refs []masu.ImageRef
	for _, n := range all[:min(nearestMost, len(all))] {
		refs = append(refs, n.ref)
	}
	return refs
}

// distance compares two tags: another CUDA release weighs most, then another
// distribution, then the patch, later ones before earlier ones.
func distance(asked, askedWords, cuda, words string) [4]int {
	system := func(words string) string { return words[strings.LastIndex(words, "-")+1:] }
	other := 0
	if system(words) != system(askedWords) {
		other = 1
	}
	a, c := strings.Split(asked, "."), strings.Split(cuda, ".")
	release := (part(c, 0)-part(a, 0))*100 + part(c, 1) - part(a, 1)
	patch := part(c, 2) - part(a, 2)
	return [4]int{away(release), other, away(patch), len(words)}
}

// away is how far a difference is; what is earlier is a little further than what is later.
func away(d int) int {
	if d < 0 {
		return -2*d + 1
	}
	return 2 * d
}
