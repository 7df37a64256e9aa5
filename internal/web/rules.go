package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// ruleGroup is a part of the admin's form of house rules.
type ruleGroup struct {
	Title string
	Rules []ruleView
}

// ruleView is one house rule of the form.
type ruleView struct {
	Name    string
	Label   string       // with its unit
	Choices []choiceView // for what is no number
	Value   string       // for a number; "" means as configured
	Step    string
	Most    string
	Hint    string // what the configuration says
	Wrong   bool   // what was written cannot be
}

type choiceView struct {
	Value, Title string
	Chosen       bool
}

// newRules makes the form: of what is set or, after a mistake, of what was said.
func newRules(lang masu.Lang, now masu.RulesNow, said url.Values, wrong string) (groups []ruleGroup) {
	for _, r := range masu.HouseRules() {
		if len(groups) == 0 || groups[len(groups)-1].Title != text.Say(lang, "web.rules."+r.Group) {
			groups = append(groups, ruleGroup{Title: text.Say(lang, "web.rules."+r.Group)})
		}
		value := onForm(r, r.Text(now.Set))
		if said != nil {
			value = said.Get(r.Name)
		}
		v := newRule(lang, r, value, onForm(r, r.Text(now.Configured)))
		v.Wrong = r.Name == wrong
		g := &groups[len(groups)-1]
		g.Rules = append(g.Rules, v)
	}
	return groups
}

func newRule(lang masu.Lang, r masu.Rule, value, as string) ruleView {
	v := ruleView{Name: r.Name, Label: text.Say(lang, "web.rule."+r.Name)}
	for _, word := range r.Words {
		v.Choices = append(v.Choices, choiceView{word, ruleWord(lang, r, word), value == word})
	}
	if r.Words != nil {
		v.Choices = slices.Insert(v.Choices, 0, choiceView{"", text.Say(lang, "web.rule_as", ruleWord(lang, r, as)), !slices.Contains(r.Words, value)})
		return v
	}
	v.Value, v.Step, v.Most = value, "any", strconv.FormatFloat(r.Most, 'f', -1, 64)
	switch r.Unit {
	case masu.RuleCount:
		v.Step = "1"
	case masu.RuleSize:
		v.Most = strconv.FormatFloat(r.Most/float64(masu.GiB), 'f', -1, 64)
	}
	v.Hint = text.Say(lang, "web.rule_as", as)
	return v
}

// ruleWord is a word of a rule in the reader's language.
func ruleWord(lang masu.Lang, r masu.Rule, word string) string {
	switch {
	case word == "":
		return "–"
	case word == "yes":
		return text.Say(lang, "web.yes")
	case word == "no":
		return text.Say(lang, "web.no")
	}
	return text.Say(lang, "web.reach."+word)
}

// onForm is a rule's text without the unit, which stands in the field's label.
func onForm(r masu.Rule, said string) string {
	if r.Unit == masu.RuleSize {
		return strings.TrimSuffix(said, " GiB")
	}
	return said
}

// setRules takes the form; an empty field means as configured.
func (s *Server) setRules(w http.ResponseWriter, r *http.Request, v *visit) error {
	rules, wrong, err := saidRules(s.lang(r, v), r.PostForm)
	if err == nil {
		err = v.service.SetRules(r.Context(), rules)
	}
	if err != nil {
		s.log(r, err)
		return s.showAdmin(w, r, v, status(err), adminView{Problem: newProblem(s.lang(r, v), err), said: r.PostForm, wrong: wrong})
	}
	http.Redirect(w, r, "/admin#rl", http.StatusSeeOther)
	return nil
}

// saidRules reads the form. An error calls the wrong rule as the form does.
func saidRules(lang masu.Lang, form url.Values) (rules masu.Rules, wrong string, err error) {
	for _, rule := range masu.HouseRules() {
		said := strings.TrimSpace(form.Get(rule.Name))
		if said == "" {
			continue
		}
		unit := ""
		if rule.Unit == masu.RuleSize && said != "0" {
			unit = " GiB"
		}
		if rule.Take(&rules, said+unit) != nil {
			return rules, rule.Name, masu.E(masu.Invalid, "rules_wrong", text.Say(lang, "web.rule."+rule.Name), said+unit, rule.Takes())
		}
	}
	return rules, "", nil
}
