// Goapp is a member's web program: a page, a WebSocket that echoes, and a
// stream of events that does not end.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/coder/websocket"
)

func main() {
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "<h1>a page by Go</h1>") })
	http.HandleFunc("GET /echo", echo)
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	at := net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT"))
	fmt.Println(os.Getenv("MASU_APP"), "listens on", at)
	log.Fatal(http.ListenAndServe(at, nil))
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, text, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, text) != nil {
			return
		}
	}
}
