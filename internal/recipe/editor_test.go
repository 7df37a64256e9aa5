package recipe

import (
	"regexp"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func TestEditor(t *testing.T) {
	plain, err := Editor(Config{})
	if err != nil {
		t.Fatal(err)
	}
	site := Config{Site: masu.Site{AptMirror: "http://mirror.lab/debian", Proxy: map[string]string{"https_proxy": "http://user:secret@proxy.lab:3128"}},
		CAs: []masu.File{{Path: "/etc/lab/ca.pem", Text: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"}}}
	r, err := Editor(site)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "editor/Dockerfile", r.Files[0].Text)
	if plain.Ref == r.Ref || !strings.HasPrefix(string(r.Ref), "masu/editor:") {
		t.Errorf("%s, and for a site %s", plain.Ref, r.Ref)
	}
	var all strings.Builder
	for _, f := range r.Files {
		all.WriteString("--- " + f.Path + "\n" + f.Text)
	}
	for _, want := range []string{"--- site/site-1.crt", "--- site/apt-mirror\nhttp://mirror.lab/debian\n"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(all.String(), "secret") {
		t.Error("the proxy's password is in the context")
	}
	// What comes from npm is held to a digest, and fetched by nothing else.
	if text := all.String(); len(regexp.MustCompile(`(?m)^(digest=|npm=[0-9.]+\+sha512\.)[0-9a-f]{128}$`).FindAllString(text, -1)) != 2 || regexp.MustCompile(`\b(curl|wget) `).MatchString(text) {
		t.Error("build.sh fetches what is not pinned")
	}
	if _, err := Editor(Config{Site: masu.Site{AptMirror: "$(id)"}}); masu.CodeOf(err) != "site_address" {
		t.Errorf("a mirror that is no address: %v", err)
	}
}
