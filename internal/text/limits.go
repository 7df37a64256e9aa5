package text

import (
	"strconv"

	"github.com/masu-lab/masu"
)

// Limits says what a member may have, a phrase for each limit that there is.
func Limits(lang masu.Lang, l masu.MemberLimits) (phrases []string) {
	add := func(name, value string) { phrases = append(phrases, Say(lang, "limit."+name, value)) }
	for _, n := range []struct {
		name string
		most *int
	}{{"workspaces", l.Workspaces}, {"gpus", l.GPUs}, {"runs", l.Runs}, {"builds", l.Builds}} {
		if n.most != nil {
			add(n.name, strconv.Itoa(*n.most))
		}
	}
	if l.CPUs != nil {
		add("cpus", strconv.FormatFloat(*l.CPUs, 'f', -1, 64))
	}
	for _, n := range []struct {
		name string
		most *masu.Bytes
	}{{"memory", l.Memory}, {"disk", l.Disk}, {"images", l.Images}} {
		if n.most != nil {
			add(n.name, n.most.String())
		}
	}
	return phrases
}
