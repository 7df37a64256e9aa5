package masu

// Username is a member's login name on the host.
type Username string

// Lang is a language that masu speaks: "ja" or "en".
type Lang string

const (
	Japanese Lang = "ja"
	English  Lang = "en"
)

// User is a member: a login on the host, with its UID and GID.
type User struct {
	Name   Username `json:"name"`
	UID    int      `json:"uid"`
	GID    int      `json:"gid"`
	Groups []Group  `json:"groups,omitempty"` // supplementary groups; never includes GID's own
	Home   string   `json:"home"`             // on the host
	Admin  bool     `json:"admin,omitempty"`
	Role   Role     `json:"role,omitempty"`
	Lang   Lang     `json:"lang,omitempty"` // what the member chose; "" if nothing
}

// Group is a group of the host that a member belongs to.
type Group struct {
	Name string `json:"name"`
	GID  int    `json:"gid"`
}

// Door is the way an actor came in.
type Door string

const (
	DoorSocket Door = "socket" // the kernel's word on a unix socket
	DoorWeb    Door = "web"    // a session of the page
	DoorSSH    Door = "ssh"    // the ssh gateway
	DoorToken  Door = "token"  // a program with a token
)

// Actor is a member plus the way they came in. Nothing is done without one.
type Actor struct {
	User
	Door Door `json:"door"`
}

// Accounts knows the host's logins. Unknown ones are NotFound "no_account".
type Accounts interface {
	ByUID(uid int) (User, error)
	ByName(name Username) (User, error)
	All() ([]User, error) // everybody who may use the lab, by name
}
