package agent

import (
	"bufio"
	"errors"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// filesAhead is how much of what a client sends is read at once: several of the
// blocks of 32 KiB in which OpenSSH writes a file.
const filesAhead = 256 << 10

// serveFiles speaks sftp, so that scp, sftp and editors work with images that
// have nothing for them. It runs as the member: what they may not do, it can't.
func serveFiles() int {
	answers := newBatch(os.Stdout)
	err := answerFiles(os.Stdin, answers, os.Getenv("HOME"))
	if err = errors.Join(err, answers.Close()); err != nil {
		complain(err)
		return 1
	}
	return 0
}

// answerFiles answers what a client asks for until it ends.
func answerFiles(from io.Reader, to io.WriteCloser, home string) error {
	s, err := sftp.NewServer(stream{bufio.NewReaderSize(from, filesAhead), to}, sftp.WithServerWorkingDirectory(home), sftp.WithAllocator())
	if err == nil {
		err = s.Serve()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stream is a program's input and output as one.
type stream struct {
	io.Reader
	io.WriteCloser
}
