package agent

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

const streamsWithin = 10 * time.Second

// takeStreams makes what masu hands over this process's input and output, which
// the command then has: the last of them is the output. Where masu cannot be
// reached, or the host's rules refuse its pipes, those of the engine stay.
func takeStreams(key string) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	patience := unix.NsecToTimeval(streamsWithin.Nanoseconds())
	if err := errors.Join(unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)); err != nil {
		return err
	}
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: masu.StreamsSocket(key)}); err != nil {
		return err
	}
	files, err := takeFiles(s)
	defer func() {
		for _, fd := range files {
			_ = unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	for i, fd := range files {
		if err := unix.Dup3(fd, 2-len(files)+i, 0); err != nil {
			return err
		}
	}
	_, err = unix.Write(s, []byte{1})
	return err
}

var errNoStreams = errors.New("no streams were handed over")

// takeFiles takes one or two open files.
func takeFiles(socket int) (files []int, err error) {
	word, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(2*4))
	_, n, flags, _, err := unix.Recvmsg(socket, word, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		files = append(files, more...)
	}
	if len(files) < 1 || len(files) > 2 || flags&unix.MSG_CTRUNC != 0 {
		return files, errNoStreams
	}
	return files, nil
}
