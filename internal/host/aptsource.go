package host

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// probeTime is what a mirror has to say whether it has a release's security updates.
const probeTime = 10 * time.Second

// sources are mmdebstrap's last arguments: the release, "-" for a tar on its
// output, and where the packages come from. The image keeps them.
func (b *Bases) sources(ctx context.Context, suite string) []string {
	args := []string{suite, "-"}
	main, security := hostArchives(b.etc)
	if m := strings.TrimSuffix(b.site.AptMirror, "/"); m != "" {
		main = m
		if beside := m + "-security"; b.has(ctx, beside, suite) {
			security = beside
		} else if !b.has(ctx, security, suite) {
			security = ""
		}
	}
	if main == "" {
		return args // mmdebstrap knows the usual ones
	}
	args = append(args, "deb "+main+" "+suite+" main", "deb "+main+" "+suite+"-updates main")
	if security != "" {
		args = append(args, "deb "+security+" "+suite+"-security main")
	}
	return args
}

// has asks an archive whether it has the release's security updates.
func (b *Bases) has(ctx context.Context, archive, suite string) bool {
	if archive == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, archive+"/dists/"+suite+"-security/Release", nil)
	if err != nil {
		return false
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	defer t.CloseIdleConnections()
	if p := b.site.Proxy["http_proxy"]; p != "" {
		if u, err := url.Parse(p); err == nil {
			t.Proxy = http.ProxyURL(u)
		}
	}
	res, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		b.log.Info("no security updates in a new base image", "archive", archive, "err", err)
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// source is one source of packages that the host's apt has.
type source struct {
	uri    string
	suites []string
}

// hostArchives finds Debian's archive and its security updates among the
// host's own sources; "" for what is not there, as on another distribution.
func hostArchives(etc string) (main, security string) {
	for _, s := range aptSources(filepath.Join(etc, "apt")) {
		for _, suite := range s.suites {
			release, kind, _ := strings.Cut(suite, "-")
			if !slices.Contains([]string{"bullseye", "bookworm", "trixie", "forky", "sid", "stable", "oldstable", "testing", "unstable"}, release) {
				continue
			}
			uri := strings.TrimSuffix(s.uri, "/")
			switch {
			case kind == "" && main == "":
				main = uri
			case kind == "security" && security == "":
				security = uri
			}
		}
	}
	return main, security
}

// aptSources reads sources.list and sources.list.d, in both of apt's formats.
func aptSources(apt string) []source {
	var found []source
	lists, _ := filepath.Glob(filepath.Join(apt, "sources.list.d", "*.list"))
	for _, name := range append([]string{filepath.Join(apt, "sources.list")}, lists...) {
		if b, err := os.ReadFile(name); err == nil {
			found = append(found, oneLineSources(string(b))...)
		}
	}
	deb822, _ := filepath.Glob(filepath.Join(apt, "sources.list.d", "*.sources"))
	for _, name := range deb822 {
		if b, err := os.ReadFile(name); err == nil {
			found = append(found, stanzaSources(string(b))...)
		}
	}
	return slices.DeleteFunc(found, func(s source) bool {
		return !strings.HasPrefix(s.uri, "http://") && !strings.HasPrefix(s.uri, "https://")
	})
}

// oneLineSources reads "deb [options] URI suite component…".
func oneLineSources(text string) []source {
	var found []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		if f := strings.Fields(rest); len(f) >= 3 && slices.Contains(f[2:], "main") {
			found = append(found, source{f[0], f[1:2]})
		}
	}
	return found
}

// stanzaSources reads the format of *.sources: stanzas of "Field: values".
func stanzaSources(text string) []source {
	var found []source
	fields, field := map[string][]string{}, ""
	take := func() {
		if slices.Contains(fields["types"], "deb") && slices.Contains(fields["components"], "main") && !slices.Contains(fields["enabled"], "no") {
			for _, uri := range fields["uris"] {
				found = append(found, source{uri, slices.Clone(fields["suites"])})
			}
		}
		maps.DeleteFunc(fields, func(string, []string) bool { return true })
	}
	for line := range strings.Lines(text) {
		switch name, value, ok := strings.Cut(line, ":"); {
		case strings.TrimSpace(line) == "":
			take()
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t': // goes on
			fields[field] = append(fields[field], strings.Fields(line)...)
		case ok:
			field = strings.ToLower(name)
			fields[field] = strings.Fields(value)
		}
	}
	take()
	return found
}
