// Command box is what the tests run inside a container: it tries what a hostile
// root there would try, serves a port, or connects to a socket.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

func main() {
	switch os.Args[1] {
	case "attack":
		uid, _ := strconv.Atoi(os.Args[3])
		attack(os.Args[2], uid)
	case "serve":
		serve("tcp4", "127.0.0.1:"+os.Args[2])
	case "serve6":
		serve("tcp6", "[::1]:"+os.Args[2])
	case "connect":
		c, err := net.Dial("unix", os.Args[2])
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, c)
	}
}

func serve(network, address string) {
	l, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
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
}

// attack tries each and prints what the kernel said; "" means that it worked.
func attack(dir string, uid int) {
	said := map[string]string{}
	try := func(name string, err error) {
		said[name] = ""
		if err != nil {
			said[name] = err.Error()
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	try("create as root", os.WriteFile(at("root"), nil, 0o644))
	try("mknod as root", unix.Mknod(at("node"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
	try("mkdir as root", os.Mkdir(at("rootdir"), 0o755))
	try("link to the host", os.Symlink("/etc/shadow", at("symlink")))

	as(uid, func() {
		self, _ := os.ReadFile("/proc/self/exe")
		try("write as the member", os.WriteFile(at("mine"), self, 0o755))
		_, err := os.ReadFile(at("hers"))
		try("read as the member", err)
		try("setuid as the member", os.Chmod(at("mine"), 0o755|os.ModeSetuid))
	})
	try("give to root", os.Chown(at("mine"), 0, 0))
	try("give to another", os.Chown(at("mine"), uid+1, uid+1))
	try("give to group shadow", os.Chown(at("mine"), -1, 42))
	try("file capability", unix.Setxattr(at("mine"), "security.capability",
		[]byte{1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)) // cap_setuid+ep
	try("mknod as the member", mknodAs(uid, at("node2")))
	json.NewEncoder(os.Stdout).Encode(said)
}

// as runs f with the member's ids on one thread, and keeps the thread from others.
func as(uid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		f()
	}()
	<-done
}

// mknodAs keeps every capability that the box has while it becomes the member.
func mknodAs(uid int, path string) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
		unix.RawSyscall(unix.SYS_SETRESGID, uintptr(uid), uintptr(uid), uintptr(uid))
		unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err = unix.Capget(&hdr, &data[0]); err != nil {
			return
		}
		data[0].Effective, data[1].Effective = data[0].Permitted, data[1].Permitted
		if err = unix.Capset(&hdr, &data[0]); err != nil {
			return
		}
		err = unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
	}()
	<-done
	return err
}
