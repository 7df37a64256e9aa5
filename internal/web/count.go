package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu/internal/metrics"
)

// counted remembers how a request was answered.
type counted struct {
	http.ResponseWriter
	status int // the last one: 103 may come before
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what flushes and hijacks.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// count serves a request, and counts how long it took, by its class and by what its status begins with.
func (s *Server) count(class string, h http.Handler, w http.ResponseWriter, r *http.Request) {
	c, begun := &counted{ResponseWriter: w, status: http.StatusOK}, time.Now()
	defer func() { // also of one that is given up by a panic, as the proxy does
		if r.Header.Get("Upgrade") != "" || streams(c.Header()) {
			class = metrics.Stream
		}
		s.cfg.Metrics.Requests.Observe(time.Since(begun), class, statusClass(c.status))
	}()
	h.ServeHTTP(c, r)
}

// streams tells whether an answer goes on for as long as somebody listens.
func streams(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return kind == "text/event-stream" || kind == "application/jsonl"
}

// statusClass is "2xx"; a status of an app's own making is none of these.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}
