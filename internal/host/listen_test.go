package host

import (
	"crypto/rand"
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHandOver: open files are given to root, and to nobody else who calls first.
func TestHandOver(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	name := "@masu-test-" + rand.Text()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	given := make(chan error, 1)
	go func() { given <- HandOver(l, []int{int(w.Fd())}) }()

	if files, err := asNobody(name); err == nil {
		t.Errorf("somebody else got %d files", files)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	word, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(word, rights)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	_, _ = conn.Write([]byte{1})
	if err := <-given; err != nil {
		t.Error(err)
	}
	_, _ = unix.Write(files[0], []byte("x"))
	_ = unix.Close(files[0])
	if _, err := io.ReadFull(r, word); err != nil || word[0] != 'x' {
		t.Errorf("through the pipe came %q, %v", word, err)
	}
}

// asNobody calls on a thread that is not root, and tells how many files came.
func asNobody(name string) (files int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			err = errno
			return
		}
		var s int
		if s, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(s)
		if err = unix.Connect(s, &unix.SockaddrUnix{Name: name}); err != nil {
			return
		}
		word, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
		n, r, _, _, e := unix.Recvmsg(s, word, rights, 0)
		if files, err = r, e; err == nil && n == 0 {
			err = io.EOF
		}
	}()
	<-done
	return files, err
}
