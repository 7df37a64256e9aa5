package main

import (
	"io"
	"net"
)

// joinStdio copies both ways between this program's input and output and a
// connection, until the other side has said all.
func (a *app) joinStdio(conn net.Conn) error {
	go func() { // ends with the process: nothing else ends a read of the standard input
		_, _ = io.Copy(conn, a.in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err := io.Copy(a.out, conn)
	return err
}
