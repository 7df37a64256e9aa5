package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

func ws(addr string) {
	ctx := context.Background()
	conns := make([]*websocket.Conn, 1000)
	var err error
	for i := range conns {
		conns[i], _, err = websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": {"http://" + addr}}, CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			panic(err)
		}
		defer conns[i].CloseNow()
	}
	var count atomic.Int64
	end := time.Now().Add(4 * time.Second)
	begin := time.Now()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for payload := make([]byte, 128); time.Now().Before(end); count.Add(1) {
				if err := c.Write(ctx, websocket.MessageBinary, payload); err != nil {
					panic(err)
				}
				if _, _, err := c.Read(ctx); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	fmt.Printf("%s %.0f msg/s\n", addr, float64(count.Load())/time.Since(begin).Seconds())
}
