package agent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// listeners gives the box's listening TCP sockets. /proc/net/tcp tells them too,
// but the kernel walks every connection's bucket of the whole machine to print it:
// milliseconds, and a lab has hundreds of boxes that look. Asked for listeners
// alone it walks those only. A kernel without that question is read by /proc.
func listeners() []socket {
	var all []socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := askListeners(family)
		if err != nil {
			return sockets()
		}
		all = append(all, found...)
	}
	return all
}

const (
	diagByFamily   = 20 // SOCK_DIAG_BY_FAMILY
	diagRequest    = 56 // bytes of a struct inet_diag_req_v2
	diagMessage    = 72 // … of a struct inet_diag_msg
	listening      = 10 // TCP_LISTEN, as a state
	diagWithin     = 5  // seconds
	diagMostAnswer = 32 << 10
)

var errDiag = errors.New("the kernel does not tell its sockets")

func askListeners(family uint8) ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: diagWithin}); err != nil {
		return nil, err
	}
	q := make([]byte, unix.NLMSG_HDRLEN+diagRequest)
	binary.NativeEndian.PutUint32(q[0:], uint32(len(q)))
	binary.NativeEndian.PutUint16(q[4:], diagByFamily)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	q[unix.NLMSG_HDRLEN], q[unix.NLMSG_HDRLEN+1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(q[unix.NLMSG_HDRLEN+4:], 1<<listening)
	if err := unix.Sendto(fd, q, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []socket
	for b := make([]byte, diagMostAnswer); ; {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		some, last, err := parseDiag(b[:n])
		if all = append(all, some...); err != nil || last {
			return all, err
		}
	}
}

// parseDiag reads the messages of one answer; last tells that no other follows.
func parseDiag(b []byte) (all []socket, last bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.NLMSG_HDRLEN {
			return all, true, errDiag
		}
		size, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return all, true, errDiag
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch {
		case kind == unix.NLMSG_DONE:
			return all, true, nil
		case kind != diagByFamily || len(body) < diagMessage:
			return all, true, errDiag
		}
		if s, ok := diagSocket(body); ok {
			all = append(all, s)
		}
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return all, false, nil
}

// diagSocket reads a struct inet_diag_msg. Ports and addresses are in the network's order, the rest in the machine's.
func diagSocket(m []byte) (socket, bool) {
	const port, source, owner, inode = 4, 8, 64, 68
	size := 4
	if m[0] == unix.AF_INET6 {
		size = 16
	}
	addr, ok := netip.AddrFromSlice(m[source : source+size])
	return socket{
		local:   netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(m[port:])),
		listens: m[1] == listening,
		uid:     int(binary.NativeEndian.Uint32(m[owner:])),
		inode:   uint64(binary.NativeEndian.Uint32(m[inode:])),
	}, ok
}
