package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// ruleView is one house rule of the admin's form.
type ruleView struct {
	Name    string
	Choices []choiceView // for a yes or no
	Value   string       // for a number; "" means as configured
	As      string       // what the configuration says
	Step    string
}

type choiceView struct {
	Value, Title string
	Chosen       bool
}

// newRules makes the form's fields.
func newRules(lang masu.Lang, now masu.RulesNow) []ruleView {
	word := func(yes bool) string {
		if yes {
			return text.Say(lang, "web.yes")
		}
		return text.Say(lang, "web.no")
	}
	yesNo := func(name string, set, configured *bool) ruleView {
		return ruleView{Name: name, Choices: []choiceView{
			{"", text.Say(lang, "web.rule_as", word(configured != nil && *configured)), set == nil},
			{"yes", word(true), set != nil && *set}, {"no", word(false), set != nil && !*set}}}
	}
	set, as := now.Set, now.Configured
	all := []ruleView{yesNo("guests", set.Guests, as.Guests), newReach(lang, set.ShareApps, as.ShareApps), yesNo("own_dockerfile", set.OwnDockerfile, as.OwnDockerfile), yesNo("sudo", set.Sudo, as.Sudo)}
	return append(all,
		ruleView{Name: "workspaces", Step: "1", Value: wholeNumber(set.Workspaces), As: wholeNumber(as.Workspaces)},
		ruleView{Name: "cpus", Step: "0.5", Value: plainNumber(set.CPUs), As: plainNumber(as.CPUs)},
		ruleView{Name: "memory", Step: "0.5", Value: gib(set.Memory), As: gib(as.Memory)},
		ruleView{Name: "disk", Step: "0.5", Value: gib(set.Disk), As: gib(as.Disk)},
		ruleView{Name: "images", Step: "0.5", Value: gib(set.Images), As: gib(as.Images)},
		ruleView{Name: "gpus", Step: "1", Value: wholeNumber(set.GPUs), As: wholeNumber(as.GPUs)},
		ruleView{Name: "gpu_hours", Step: "0.5", Value: plainNumber(set.GPUHours), As: plainNumber(as.GPUHours)},
		ruleView{Name: "gpu_idle_hours", Step: "0.5", Value: plainNumber(set.GPUIdleHours), As: plainNumber(as.GPUIdleHours)})
}

// newReach is the field of how far apps may be shared.
func newReach(lang masu.Lang, set, configured *masu.Reach) ruleView {
	word := func(r masu.Reach) string { return text.Say(lang, "web.reach."+string(r)) }
	as := masu.ReachNobody
	if configured != nil && configured.Valid() {
		as = *configured
	}
	v := ruleView{Name: "share_apps", Choices: []choiceView{{"", text.Say(lang, "web.rule_as", word(as)), set == nil}}}
	for _, r := range []masu.Reach{masu.ReachNobody, masu.ReachColleagues, masu.ReachLab} {
		v.Choices = append(v.Choices, choiceView{string(r), word(r), set != nil && *set == r})
	}
	return v
}

func wholeNumber(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func plainNumber(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

func gib(b *masu.Bytes) string {
	if b == nil {
		return ""
	}
	f := float64(*b) / float64(masu.GiB)
	return plainNumber(&f)
}

// setRules takes the form; an empty field means as configured.
func (s *Server) setRules(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := r.PostForm
	yes := func(name string) *bool {
		if said := f.Get(name); said != "" {
			is := said == "yes"
			return &is
		}
		return nil
	}
	wrong := false
	number := func(name string) *float64 {
		said := strings.TrimSpace(f.Get(name))
		if said == "" {
			return nil
		}
		n, err := strconv.ParseFloat(said, 64)
		wrong = wrong || err != nil || n < 0 || n > 1<<20
		return &n
	}
	whole := func(name string) *int {
		if n := number(name); n != nil {
			i := int(*n)
			return &i
		}
		return nil
	}
	room := func(name string) *masu.Bytes {
		if n := number(name); n != nil {
			bytes := masu.Bytes(*n * float64(masu.GiB))
			return &bytes
		}
		return nil
	}
	rules := masu.Rules{Guests: yes("guests"), OwnDockerfile: yes("own_dockerfile"), Sudo: yes("sudo"), CPUs: number("cpus"), Workspaces: whole("workspaces"), Memory: room("memory"), Disk: room("disk"), Images: room("images"),
		GPUs: whole("gpus"), GPUHours: number("gpu_hours"), GPUIdleHours: number("gpu_idle_hours")}
	if reach := masu.Reach(f.Get("share_apps")); reach != "" {
		rules.ShareApps = &reach
	}
	if wrong {
		return s.administered(w, r, v, masu.E(masu.Invalid, "rules_wrong", 256*masu.MiB))
	}
	return s.administered(w, r, v, v.service.SetRules(r.Context(), rules))
}
