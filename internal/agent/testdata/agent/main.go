// Command agent is masu reduced to `masu agent`, for the tests of real boxes,
// and a few programs that the boxes' images lack.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/masu-lab/masu/internal/agent"
)

func main() {
	switch os.Args[1] {
	case "agent":
		os.Exit(agent.Main(context.Background(), os.Args[2:]))
	case "serve": // an echo at a port of the box's loopback
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
		if err != nil {
			panic(err)
		}
		for {
			c, err := l.Accept()
			if err != nil {
				panic(err)
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	case "stubborn": // does not end when asked to
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	}
}
