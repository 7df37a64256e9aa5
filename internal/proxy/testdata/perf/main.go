package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"

	"github.com/coder/websocket"
	"github.com/masu-lab/masu/internal/proxy"
)

func main() {
	if os.Args[1] == "ws" {
		ws(os.Args[2])
		return
	}
	if os.Args[1] == "up" {
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "a small answer\n")
		})
		mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
			left, _ := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
			w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
			for block := make([]byte, 256<<10); left > 0; left -= int64(len(block)) {
				if _, err := w.Write(block[:min(left, int64(len(block)))]); err != nil {
					return
				}
			}
		})
		mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, b) != nil {
					return
				}
			}
		})
		panic(http.ListenAndServe(os.Args[2], mux))
	}
	go http.ListenAndServe("127.0.0.1:6060", nil)
	done := make(chan struct{})
	p, err := proxy.New(proxy.Config{
		Authorize: func(r *http.Request) (proxy.Target, error) {
			return proxy.Target{Key: "x", Origin: "http://" + r.Host, Done: done, Dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", os.Args[3])
			}}, nil
		},
		Refuse:  func(w http.ResponseWriter, r *http.Request, err error) { http.Error(w, err.Error(), 502) },
		Cookies: []string{"masu_"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	panic((&http.Server{Addr: os.Args[2], Handler: p}).ListenAndServe())
}
