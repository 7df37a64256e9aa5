package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// newLimits makes the fields of one member's limits.
func newLimits(own masu.MemberLimits) []ruleView {
	return []ruleView{
		{Name: "workspaces", Step: "1", Value: wholeNumber(own.Workspaces)},
		{Name: "gpus", Step: "1", Value: wholeNumber(own.GPUs)},
		{Name: "runs", Step: "1", Value: wholeNumber(own.Runs)},
		{Name: "builds", Step: "1", Value: wholeNumber(own.Builds)},
		{Name: "cpus", Step: "0.5", Value: plainNumber(own.CPUs)},
		{Name: "memory", Step: "0.25", Value: gib(own.Memory)},
		{Name: "disk", Step: "0.25", Value: gib(own.Disk)},
		{Name: "images", Step: "0.25", Value: gib(own.Images)},
	}
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

// readLimits takes the form; an empty field is as the rules say.
func readLimits(f url.Values) (l masu.MemberLimits, ok bool) {
	ok = true
	number := func(name string) *float64 {
		n := -1.0
		if said := strings.TrimSpace(f.Get(name)); said != "" {
			var err error
			n, err = strconv.ParseFloat(said, 64)
			ok = ok && err == nil && n >= 0 && n <= 1<<20
		}
		return &n
	}
	whole := func(name string) *int {
		n := int(*number(name))
		return &n
	}
	size := func(name string) *masu.Bytes {
		b := masu.Bytes(-1)
		if n := *number(name); n >= 0 {
			b = masu.Bytes(n * float64(masu.GiB))
		}
		return &b
	}
	return masu.MemberLimits{Workspaces: whole("workspaces"), GPUs: whole("gpus"), Runs: whole("runs"), Builds: whole("builds"),
		CPUs: number("cpus"), Memory: size("memory"), Disk: size("disk"), Images: size("images")}, ok
}

// setLimits takes the form of one member's page.
func (s *Server) setLimits(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := masu.Username(r.PathValue("name"))
	limits, ok := readLimits(r.PostForm)
	err := error(masu.E(masu.Invalid, "limits_wrong", masu.LeastSize))
	if ok {
		err = v.service.ChangeMember(r.Context(), name, masu.MemberChange{Limits: limits})
	}
	if err != nil {
		return s.showMember(w, r, v, memberPage{}, err)
	}
	http.Redirect(w, r, "/admin/member/"+url.PathEscape(string(name)), http.StatusSeeOther)
	return nil
}
