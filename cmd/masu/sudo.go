package main

import (
	"os"
	"os/user"
	"strconv"
)

// sudoUser is the member who called masu through sudo: root acts for them, so
// that `sudo masu up` gives them their own workspace and not root's.
func (a *app) sudoUser() (*user.User, bool) {
	name := a.getenv("SUDO_USER")
	if name == "" || name == "root" || os.Geteuid() != 0 {
		return nil, false
	}
	u, err := user.Lookup(name)
	return u, err == nil && u.Uid != "0"
}

// owner gives the ids that files made for the member must have, when they are
// not this process's own.
func (a *app) owner() (uid, gid int, other bool) {
	u, ok := a.sudoUser()
	if !ok {
		return 0, 0, false
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, false
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err == nil
}
