package agent

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
)

// sayMost bounds a message to the terminals, in bytes.
const sayMost = 4 << 10

// say writes a message on every terminal of the box, as wall(1) does. That is
// no activity: who types is told by a terminal's time of access.
func say(terminals string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sayMost))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		names, _ := filepath.Glob(filepath.Join(terminals, "[0-9]*"))
		for _, name := range names {
			// Without waiting: one that was stopped with Ctrl-S takes nothing.
			if f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0); err == nil {
				_, _ = io.WriteString(f, forTerminal(string(b)))
				_ = f.Close()
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// forTerminal rings the bell, and keeps everything else that a terminal would obey away from it.
func forTerminal(text string) string {
	var b strings.Builder
	b.WriteString("\a\r\n")
	for line := range strings.Lines(text) {
		for _, c := range strings.TrimRight(line, "\r\n") {
			if unicode.IsPrint(c) {
				b.WriteRune(c)
			}
		}
		b.WriteString("\r\n")
	}
	return b.String()
}
