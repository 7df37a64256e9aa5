package agent

import (
	"errors"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// serveFiles speaks sftp, so that scp, sftp and editors work with images that
// have nothing for them. It runs as the member: what they may not do, it can't.
func serveFiles() int {
	home := os.Getenv("HOME")
	s, err := sftp.NewServer(stream{os.Stdin, os.Stdout}, sftp.WithServerWorkingDirectory(home))
	if err == nil {
		err = s.Serve()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		complain(err)
		return 1
	}
	return 0
}

// stream is a program's input and output as one.
type stream struct {
	io.Reader
	io.WriteCloser
}
