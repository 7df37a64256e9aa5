package web

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/masu-lab/masu"
)

// formMost bounds what a form of ours may send, in bytes.
const formMost = 64 << 10

// protect sets what every page is sent with, and refuses what another origin
// wishes to be done in a signed-in member's name: an unsafe request must come
// with exactly our Origin. A missing one is refused too; browsers always send it
// there, as long as the page's referrer policy is not no-referrer.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if from := r.Header["Origin"]; len(from) != 1 || from[0] != s.cfg.Origins.scheme+"://"+r.Host {
				s.refuse(w, r, masu.E(masu.Denied, "cross_origin"))
				return
			}
			if err := readForm(w, r); err != nil {
				s.refuse(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// readForm takes forms only, and small ones only.
func readForm(w http.ResponseWriter, r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return masu.E(masu.Invalid, "form_wrong").Because(err)
	}
	r.Body = http.MaxBytesReader(beneath(w), r.Body, formMost)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return masu.E(masu.Invalid, "form_large", formMost>>10).Because(err)
		}
		return masu.E(masu.Invalid, "form_wrong").Because(err)
	}
	return nil
}

// beneath is the server's own writer: only that one hears from MaxBytesReader that
// a body was too large, and then lets its sender finish and read why.
func beneath(w http.ResponseWriter) http.ResponseWriter {
	for {
		over, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = over.Unwrap()
	}
}

// policy is what a page may do, but for frames.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"

// secure sets the headers of a page: it runs only what masu sent, is framed by
// nobody, is kept by nobody, and tells no other site where it was.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy+"; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would take the Origin from our own forms
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// framable lets a page at an app's origin stand where the app would: in a frame of the pages'.
func framable(h http.Header, framers []string) {
	h.Set("Content-Security-Policy", policy+"; frame-ancestors "+strings.Join(framers, " "))
	h.Del("X-Frame-Options")
}

// ahead tells whether nobody has asked for this yet: a one-time link is not
// redeemed for somebody who only looks ahead.
func ahead(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"} {
		if v := strings.ToLower(r.Header.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") {
			return true
		}
	}
	return r.Method == http.MethodHead
}
