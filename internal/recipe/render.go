package recipe

import (
	"embed"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// setup are the scripts and lists that every recipe carries. Names of packages
// and versions reach them as files or as checked arguments, never as shell text.
//
//go:embed setup
var setup embed.FS

// draft collects the files of a build context.
type draft struct {
	files  []masu.File
	steps  strings.Builder // of the Dockerfile
	mounts bool            // the builder has cache mounts
	cache  string          // tells apart the caches of distributions
}

func (c *draft) file(name, text string) {
	c.files = append(c.files, masu.File{Path: name, Text: text})
}

func (c *draft) step(format string, args ...any) { fmt.Fprintf(&c.steps, format+"\n", args...) }

// run writes a RUN line. Apt and pip say which downloads it may share with other builds.
func (c *draft) run(apt, pip bool, format string, args ...any) {
	var b strings.Builder
	b.WriteString("RUN ")
	if c.mounts && apt {
		b.WriteString("--mount=type=cache,id=masu-apt-" + c.cache + ",target=/var/cache/apt,sharing=locked \\\n    ")
		b.WriteString("--mount=type=cache,id=masu-lists-" + c.cache + ",target=/var/lib/apt/lists,sharing=locked \\\n    ")
	}
	if c.mounts && pip {
		b.WriteString("--mount=type=cache,id=masu-pip,target=/root/.cache/pip \\\n    ")
	}
	c.steps.WriteString(b.String() + fmt.Sprintf(format, args...) + "\n")
}

// pip installs what masu has chosen. Without a cache mount its downloads would stay in the image.
func (c *draft) pip(args string) {
	option := "--no-cache-dir "
	if c.mounts {
		option = ""
	}
	c.run(false, true, "sh /opt/recipe/setup/pip.sh %s%s", option, args)
}

// render writes the build context. Its Dockerfile keeps to what the builder of
// Docker 20.10 knows without fetching another one.
func render(cfg Config, p picked, order []masu.Layer) ([]masu.File, error) {
	c := &draft{mounts: true, cache: cacheName(p)}
	c.step("# Made by masu. `masu eject` writes files that stand without it.")
	if err := c.foundation(cfg, p); err != nil {
		return nil, err
	}
	for i, l := range order {
		apt, pip, err := p.layer(l)
		if err != nil {
			return nil, err
		}
		c.layer(fmt.Sprintf("apt-%d.txt", i+1), apt, fmt.Sprintf("pip-%d.txt", i+1), pip)
	}
	c.commands(p)
	c.step("RUN sh /opt/recipe/setup/record.sh")
	return append([]masu.File{{Path: "Dockerfile", Text: c.steps.String()}}, c.files...), nil
}

// cacheName tells apart the package caches of distributions: their files bear the same names.
func cacheName(p picked) string {
	if p.system.key != "" {
		return strings.ReplaceAll(p.system.key, ":", "-")
	}
	return digest([]masu.File{{Path: string(p.base)}})
}

// foundation is what comes before the member's own packages: it is the same
// for all environments with this base, Python and torch, so the engine has it once.
func (c *draft) foundation(cfg Config, p picked) error {
	c.step("FROM %s", p.base)
	c.step("ENV %s", strings.Join(variables(cfg, p), " \\\n    "))
	if err := c.setup(p); err != nil {
		return err
	}
	c.step("COPY setup /opt/recipe/setup")
	if c.site(cfg) {
		c.step("COPY site /opt/recipe/site")
	}
	c.run(true, false, "sh /opt/recipe/setup/system.sh")
	c.run(true, false, "%s", strings.TrimSpace("sh /opt/recipe/setup/python.sh "+p.python.arguments()))
	if !p.host.PipIndex {
		c.run(true, false, "sh /opt/recipe/setup/jupyter-debian.sh")
	} else {
		c.pip("-r /opt/recipe/setup/jupyter.txt")
	}
	c.wheels(cfg, p)
	return nil
}

func (p python) arguments() string {
	switch p.from {
	case pythonApt:
		return "apt " + p.version
	case pythonUV:
		return "uv " + p.version
	}
	return "own"
}

// variables are the image's. Nothing in them is about a member.
func variables(cfg Config, p picked) []string {
	e := p.env
	locale := e.Locale
	if locale == "" {
		locale = "C.UTF-8"
	}
	v := []string{"LANG=" + locale}
	if e.Timezone != "" {
		v = append(v, "TZ="+e.Timezone)
	}
	if p.python.from == pythonUV {
		v = append(v, "PATH=/opt/python/current/bin:$PATH")
	}
	if len(cfg.CAs) > 0 { // each program that has its own idea of whom to trust
		for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"} {
			v = append(v, name+"=/etc/ssl/certs/ca-certificates.crt")
		}
	}
	return v
}

// setup adds the scripts, and the lists that differ between recipes.
func (c *draft) setup(p picked) error {
	debian := !p.host.PipIndex
	for _, name := range []string{"apt.sh", "dpkg.cfg", "hashes.py", "jupyter-debian.sh", "layer.sh", "page_config.json", "pip.sh", "python.sh", "record.py", "record.sh", "site.sh", "system.sh", "system.txt"} {
		if name == "jupyter-debian.sh" && !debian {
			continue
		}
		b, err := setup.ReadFile("setup/" + name)
		if err != nil {
			return err
		}
		c.file("setup/"+name, string(b))
	}
	c.lock(p.env.Lock)
	locales := []string{"en_US.UTF-8", "ja_JP.UTF-8"}
	if l := p.env.Locale; strings.Contains(l, "_") && !slices.Contains(locales, utf8(l)) {
		locales = append(locales, utf8(l))
	}
	c.file("setup/locales.txt", lines(locales))
	c.file("setup/python.txt", lines(p.python.packages()))
	jupyter := []string{"ipykernel", "jupyterlab", "jupyterlab-language-pack-ja-JP", "notebook"}
	if debian {
		jupyter = []string{"jupyter-notebook", "jupyterlab", "python3-ipykernel", "python3-nbclassic"}
	}
	c.file("setup/jupyter.txt", lines(jupyter))
	return nil
}

// lock adds the versions that the build is held to; what the base brought stays the base's.
func (c *draft) lock(l *masu.Lock) {
	if l == nil {
		return
	}
	var apt, pip, hashes []string
	for _, p := range l.Packages {
		switch p.From {
		case masu.FromApt:
			apt = append(apt, p.Name+" "+p.Version)
		case masu.FromPip:
			pip = append(pip, p.Name+"=="+p.Version)
			if p.Hash != "" {
				hashes = append(hashes, p.Name+" "+p.Version+" "+p.Hash)
			}
		}
	}
	c.file("setup/lock-apt.txt", lines(apt))
	c.file("setup/lock-pip.txt", lines(pip))
	c.file("setup/lock-hashes.txt", lines(hashes))
}

func utf8(locale string) string { return strings.TrimSuffix(locale, ".UTF-8") + ".UTF-8" }

// packages are those of the distribution that a Python needs.
func (p python) packages() []string {
	switch p.from {
	case pythonApt:
		return []string{"python" + p.version, "python" + p.version + "-venv", "python3-pip"}
	case pythonUV:
		return []string{"python3", "python3-venv"}
	}
	return []string{"python3", "python3-pip", "python3-venv"}
}

// site adds what the lab's network needs, and tells whether that is a file of
// its own. Proxies are no part of it: they are build arguments, because their
// addresses may hold a password.
func (c *draft) site(cfg Config) bool {
	conf := "[global]\n# Packages go beside the distribution's, into /usr/local or ~/.local.\nbreak-system-packages = true\n" +
		"disable-pip-version-check = true\nroot-user-action = ignore\n"
	if index := cfg.Site.PipIndex; index != "" {
		conf += "index-url = " + index + "\n"
		if u, err := url.Parse(index); err == nil && u.Scheme == "http" {
			conf += "trusted-host = " + u.Host + "\n"
		}
	}
	c.file("setup/pip.conf", conf)
	return c.siteFiles(cfg)
}

// siteFiles adds the site's certificates and mirror, and tells whether there are any.
func (c *draft) siteFiles(cfg Config) bool {
	for i, ca := range cfg.CAs {
		c.file(fmt.Sprintf("site/site-%d.crt", i+1), strings.TrimRight(ca.Text, "\n")+"\n")
	}
	if m := cfg.Site.AptMirror; m != "" {
		c.file("site/apt-mirror", strings.TrimRight(m, "/")+"\n")
	}
	return len(cfg.CAs) > 0 || cfg.Site.AptMirror != ""
}

// wheels installs torch and TensorFlow, and keeps for later layers what they may not change.
func (c *draft) wheels(cfg Config, p picked) {
	if !p.host.PipIndex {
		return
	}
	var keep string
	t := p.table
	if w := p.torch; w != nil {
		list := t.requirements(*w, cfg.Host.Arch)
		keep += list
		c.file("torch.txt", list)
		c.step("COPY torch.txt /opt/recipe/")
		c.pip(t.index(*w, cfg.Site) + " -r /opt/recipe/torch.txt")
	}
	if w := p.tf; w != nil {
		keep += "tensorflow==" + w.version + "\n"
		c.file("tensorflow.txt", w.requirement()+"\n")
		c.step("COPY tensorflow.txt /opt/recipe/")
		c.pip("-r /opt/recipe/tensorflow.txt")
	}
	c.file("keep.txt", keep)
	c.step("COPY keep.txt /opt/recipe/")
}

// layer adds packages. An empty list is an empty file, so that every layer has the same instructions.
func (c *draft) layer(aptName string, apt []string, pipName string, pip []string) {
	c.file(aptName, lines(apt))
	c.file(pipName, lines(pip))
	c.step("COPY %s %s /opt/recipe/", aptName, pipName)
	c.run(true, false, "sh /opt/recipe/setup/layer.sh %s %s", aptName, pipName)
}

// commands runs the member's own, each from a file.
func (c *draft) commands(p picked) {
	for i, s := range p.env.Run {
		name := fmt.Sprintf("run-%d.sh", i+1)
		c.file(name, strings.TrimRight(s, "\n")+"\n")
		c.step("COPY %s /opt/recipe/", name)
		c.step("RUN bash -e /opt/recipe/%s", name)
	}
}

var siteURL = regexp.MustCompile(`^https?://[A-Za-z0-9._~:@/%+,=-]+$`)

// siteOK refuses an address that could mean something to a shell, to sed or to apt.
func siteOK(s masu.Site) error {
	for _, a := range [][2]string{{"apt_mirror", s.AptMirror}, {"pip_index", s.PipIndex}, {"torch_index", s.TorchIndex}} {
		if a[1] != "" && !siteURL.MatchString(a[1]) {
			return masu.E(masu.Invalid, "site_address", a[0], a[1])
		}
	}
	return nil
}
