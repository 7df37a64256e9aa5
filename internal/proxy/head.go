package proxy

import (
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// hop are headers that concern one connection only.
var hop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// foreign are headers by which a client could claim to be somebody, or to have
// come from somewhere; the app gets ours or none. Expect is answered here.
var foreign = map[string]bool{
	"Authorization": true, "Forwarded": true, "X-Real-Ip": true, "X-Remote-User": true, "Remote-User": true,
	"Expect": true, "Host": true, "Content-Length": true,
}

func isForeign(name string) bool {
	if strings.Contains(name, "_") { // some servers take X_Remote_User for X-Remote-User
		name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	return foreign[name] || strings.HasPrefix(name, "X-Masu-") || strings.HasPrefix(name, "X-Forwarded-")
}

// hasToken tells whether a header that is a list of tokens has one.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// writeHead appends the head of a request as the app gets it. The server has
// checked every name and value for line breaks.
func (p *Proxy) writeHead(b []byte, r *http.Request, websocket bool) []byte {
	uri := r.RequestURI // as it was asked, byte for byte: the app gives it its meaning
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI() // it named scheme and host too
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, uri...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\n"...)
	perHop := r.Header["Connection"]
	for name, values := range r.Header {
		if hop[name] || isForeign(name) || len(perHop) > 0 && hasToken(perHop, name) {
			continue
		}
		if name == "Cookie" {
			values = p.withoutOurs(values)
		}
		for _, v := range values {
			b = line(b, name, v)
		}
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil {
		b = line(b, "X-Forwarded-For", client)
	}
	b = line(b, "X-Forwarded-Host", r.Host)
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	b = line(b, "X-Forwarded-Proto", proto)
	switch {
	case websocket:
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if len(r.Trailer) > 0 {
			b = line(b, "Trailer", trailerNames(r.Trailer))
		}
	case r.ContentLength > 0 || len(r.Header["Content-Length"]) > 0:
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, r.ContentLength, 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func line(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func trailerNames(h http.Header) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// withoutOurs takes masu's own cookies out and leaves the others as they were written.
func (p *Proxy) withoutOurs(lines []string) []string {
	var keep []string
	for _, l := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(l, ";") {
			pair = strings.TrimSpace(pair)
			if name, _, _ := strings.Cut(pair, "="); pair != "" && !p.ours(name) {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			keep = append(keep, strings.Join(pairs, "; "))
		}
	}
	return keep
}

// ours tells whether a cookie's name is one of masu's, whatever prefix browsers give a meaning to.
func (p *Proxy) ours(name string) bool {
	name = strings.ToLower(strings.Trim(name, " \t\""))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return slices.ContainsFunc(p.cfg.Cookies, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// copyHead gives the browser an app's answer without what would reach beyond the app's own origin.
func (p *Proxy) copyHead(to, from http.Header, t Target) {
	perHop := from["Connection"]
	for name, values := range from {
		if hop[name] || name == "Service-Worker-Allowed" || name == "X-Frame-Options" || len(perHop) > 0 && hasToken(perHop, name) {
			continue
		}
		switch name {
		case "Content-Security-Policy":
			values = withoutAncestors(values)
		case "Set-Cookie":
			values = p.cookies(values, t.Framed)
		}
		if len(values) > 0 {
			to[name] = values
		}
	}
	if _, ok := from["Content-Type"]; !ok {
		to["Content-Type"] = nil // so that the server does not guess one
	}
}

// cookies are those of an app's that stay at its own origin.
func (p *Proxy) cookies(lines []string, framed bool) []string {
	lines = slices.DeleteFunc(lines, func(l string) bool {
		n, _, _ := strings.Cut(l, "=")
		return p.ours(n) || reaches(l)
	})
	for i := range lines {
		if framed {
			lines[i] = apart(lines[i])
		}
	}
	return lines
}

// reaches tells whether a cookie would be sent to other hosts too.
func reaches(cookie string) bool {
	_, attributes, _ := strings.Cut(cookie, ";")
	for a := range strings.SplitSeq(attributes, ";") {
		name, _, _ := strings.Cut(a, "=")
		if strings.EqualFold(strings.TrimSpace(name), "domain") {
			return true
		}
	}
	return false
}
