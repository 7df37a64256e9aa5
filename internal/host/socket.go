package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// maxHead bounds an agent's answer to CONNECT.
const maxHead = 4096

// DialSocket connects to a port on a box's loopback through its agent's
// socket. The path may lie in a folder that the box can write to, so no link
// is followed, it must be a socket, and it must be uid who listens there.
func (h *Host) DialSocket(ctx context.Context, path string, uid int, port int) (net.Conn, error) {
	conn, err := dialUnix(ctx, path, uid)
	if err != nil {
		return nil, fmt.Errorf("host: socket %s: %w", path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = connectThrough(conn, port)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host: port %d through %s: %w", port, path, err), conn.Close())
	}
	return conn, nil
}

func dialUnix(ctx context.Context, path string, uid int) (*net.UnixConn, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errors.New("not a socket")
	}
	// By its descriptor: what is put at the path meanwhile is not followed.
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, err
	}
	conn := c.(*net.UnixConn) // what dialling "unix" gives
	cred, err := credentials(conn)
	if err == nil && int(cred.Uid) != uid {
		err = masu.E(masu.Denied, "socket_not_yours", path).Because(fmt.Errorf("user %d listens, not %d", cred.Uid, uid))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// connectThrough asks the agent for a port. The answer is read byte by byte,
// so that nothing of what follows is taken from the connection.
func connectThrough(conn net.Conn, port int) error {
	if _, err := fmt.Fprintf(conn, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port, port); err != nil {
		return err
	}
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			return err
		}
		if head = append(head, b[0]); len(head) > maxHead {
			return errors.New("the agent's answer has no end")
		}
	}
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if f := bytes.Fields(status); len(f) < 2 || string(f[1]) != "200" {
		return fmt.Errorf("the agent answered %q", status)
	}
	return nil
}

func credentials(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	ctl := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(ctl, err)
}
