package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

//go:embed templates/*.html static/*
var files embed.FS

// looks are the templates and the static files, read once.
type looks struct {
	pages  map[masu.Lang]*template.Template // every page and part, bound to a language
	assets map[string]asset                 // by hashed name
	hashed map[string]string                // plain name to hashed name
}

// The inside of a box as it is drawn, in the drawing's units.
const (
	boxFloor  = 90
	boxHeight = 86 // a full one stays a little below the rim
	barWide   = 54 // the same, lying in the bar
)

type asset struct {
	plain, gzipped []byte
	kind           string
}

func newLooks() (*looks, error) {
	l := &looks{pages: map[masu.Lang]*template.Template{}, assets: map[string]asset{}, hashed: map[string]string{}}
	static, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range static {
		if err := l.addAsset(e.Name()); err != nil {
			return nil, fmt.Errorf("web: %s: %w", e.Name(), err)
		}
	}
	for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
		t := template.New("").Funcs(template.FuncMap{
			"asset":     l.path,
			"say":       func(code string, args ...any) string { return text.Say(lang, code, args...) },
			"since_ago": func(at time.Time) string { return text.Say(lang, "web.ago", since(lang, time.Since(at))) },
			"day":       func(at time.Time) string { return at.Local().Format("2006-01-02") },
			"clock":     func(at time.Time) string { return at.Local().Format("01-02 15:04") },
			"height":    func(percent int) float64 { return boxHeight * float64(percent) / 100 },
			"level":     func(percent int) float64 { return boxFloor - boxHeight*float64(percent)/100 },
			"left":      func(at time.Time) string { return since(lang, time.Until(at)) },
			"barwide":   func(percent int) float64 { return barWide * float64(percent) / 100 },
			"since":     func(at time.Time) string { return since(lang, time.Since(at)) },
		})
		if l.pages[lang], err = t.ParseFS(files, "templates/*.html"); err != nil {
			return nil, err
		}
		fold(l.pages[lang], map[string]func(string) string{"asset": l.path, "say": func(code string) string { return text.Say(lang, code) }})
	}
	return l, nil
}

// assetKinds are the kinds of the static files: the host's own table of kinds would be read, and kept, for three of them.
var assetKinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func (l *looks) addAsset(plain string) error {
	b, err := files.ReadFile("static/" + plain)
	if err != nil {
		return err
	}
	var z bytes.Buffer
	zw, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := zw.Write(b); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	ext := path.Ext(plain)
	name := strings.TrimSuffix(plain, ext) + "." + hex.EncodeToString(sum[:])[:10] + ext
	l.assets[name], l.hashed[plain] = asset{b, z.Bytes(), assetKinds[ext]}, name
	return nil
}

// path is where a static file is found now.
func (l *looks) path(plain string) string { return "/static/" + l.hashed[plain] }

// ServeHTTP serves the static files; their names change with their contents, so they never go stale.
func (l *looks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := l.assets[strings.TrimPrefix(r.URL.Path, "/static/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	_, _ = w.Write(body) // it may have gone already
}

// drafts are buffers in which pages are rendered: one that has grown already
// does not grow again for each.
var drafts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render executes one template: a page, or a part of one.
func (l *looks) render(lang masu.Lang, name string, data any) ([]byte, error) {
	out := drafts.Get().(*bytes.Buffer)
	defer drafts.Put(out)
	out.Reset()
	if err := l.pages[lang].ExecuteTemplate(out, name, data); err != nil {
		return nil, fmt.Errorf("web: %s: %w", name, err)
	}
	return bytes.Clone(out.Bytes()), nil
}

// since says how long something lasts, in the largest unit that tells enough.
func since(lang masu.Lang, d time.Duration) string {
	switch {
	case d < time.Minute:
		return text.Say(lang, "time.seconds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return text.Say(lang, "time.minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return text.Say(lang, "time.hours", int(d.Hours()), int(d.Minutes())%60)
	}
	return text.Say(lang, "time.days", int(d.Hours()/24))
}
