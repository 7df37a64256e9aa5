// Package recipe turns an environment into a build context, and a workspace
// into plain files to keep (Eject). It only computes: from the environment,
// the host's driver and GPUs, and an embedded table of which versions of
// torch, TensorFlow, CUDA, Python and driver go together. What cannot run is
// refused here, before anything is built.
package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// Config says for what, and for whom, a recipe is made.
type Config struct {
	Environment masu.Environment
	Host        masu.Host
	Versions    *Versions // nil for the embedded table
	Site        masu.Site
	CAs         []masu.File  // contents of the site's CA bundles
	Order       []masu.Layer // how the last build was layered; nil for none
	Compact     bool         // fold the layers into one

	BaseFromPackages bool // the base image was made from the distribution's own packages
}

// Recipe is a build context in plain text, and what to know about it. For a
// member's own Dockerfile Files is empty: the context is the member's folder.
type Recipe struct {
	Base   masu.ImageRef
	Ref    masu.ImageRef     // "masu/env:" and 12 hexadecimal digits of the digest of all files
	Files  []masu.File       // Dockerfile first
	Order  []masu.Layer      // to be kept, and given back in the next Config
	Notes  []masu.Note       // what was chosen and why
	Labels map[string]string // for the image
	Args   map[string]string // build arguments: the site's proxies, which must not stay in the image
	GPU    bool              // the environment is made for a GPU of this host: let Smoke pass at the first start
	Smoke  []string          // argv of the smoke test; nil for none
}

// Plan makes the recipe of an environment. What cannot run on this host is
// Invalid with the reason and, as the last argument, the nearest set that does.
func Plan(c Config) (Recipe, error) {
	e := c.Environment
	if e.Dockerfile != "" {
		return Recipe{Ref: ref(e.Key()), Labels: labels(c, "", nil)}, nil
	}
	if err := siteOK(c.Site); err != nil {
		return Recipe{}, err
	}
	p, err := pick(e, c.Host, c.Versions, c.BaseFromPackages)
	if err != nil {
		return Recipe{}, err
	}
	if c.BaseFromPackages {
		p.note("base_from_packages", p.base)
	}
	r := Recipe{Base: p.base, Notes: p.notes, Order: arrange(c.Order, p.env.Apt, p.env.Pip, c.Compact)}
	if r.Files, err = render(c, p, r.Order); err != nil {
		return Recipe{}, err
	}
	r.Ref = ref(digest(r.Files))
	r.Labels = labels(c, p.base, r.Order)
	r.Args = c.Site.Proxy
	r.Smoke = p.smoke()
	r.GPU = r.Smoke != nil
	return r, nil
}

// Base tells which base image Plan would build on.
func Base(e masu.Environment, h masu.Host, v *Versions) (masu.ImageRef, []masu.Note, error) {
	if e.Dockerfile != "" {
		return "", nil, nil
	}
	p, err := pick(e, h, v, false)
	return p.base, p.notes, err
}

// Default is the preset for a folder that says nothing.
func Default(h masu.Host) string {
	if hasNVIDIA(h) {
		return "pytorch"
	}
	return "python"
}

// hasNVIDIA tells whether boxes of the host can use an NVIDIA GPU.
func hasNVIDIA(h masu.Host) bool { return h.Driver != "" && len(h.GPUs) > 0 }

func ref(digest string) masu.ImageRef { return masu.ImageRef("masu/env:" + digest) }

// digest is 12 hexadecimal digits of the SHA-256 of the files.
func digest(files []masu.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %o %d\n%s", f.Path, f.Mode, len(f.Text), f.Text)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func labels(c Config, base masu.ImageRef, order []masu.Layer) map[string]string {
	l := map[string]string{"masu.environment": c.Environment.Unlocked().Key()}
	if base != "" {
		l["masu.base"] = string(base)
		b, err := json.Marshal(order)
		if err != nil {
			panic(err) // strings only: cannot happen
		}
		l["masu.layers"] = string(b)
	}
	return l
}

// arrange puts packages into layers. As long as everything that an earlier
// build put in is still wanted, those layers stay as they are, so that the
// engine has them already, and what is new becomes one more layer.
func arrange(old []masu.Layer, apt, pip []string, compact bool) []masu.Layer {
	var has masu.Layer
	for _, l := range old {
		has.Apt, has.Pip = append(has.Apt, l.Apt...), append(has.Pip, l.Pip...)
	}
	if compact || len(without(has.Apt, apt)) > 0 || len(without(has.Pip, pip)) > 0 {
		old, has = nil, masu.Layer{}
	}
	out := slices.Clone(old)
	if l := (masu.Layer{Apt: without(apt, has.Apt), Pip: without(pip, has.Pip)}); len(l.Apt)+len(l.Pip) > 0 {
		out = append(out, l)
	}
	return out
}

// without gives those of list that are not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// lines writes a list, one entry a line.
func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}
