package masu

// ForwardOrder is what the ssh gateway asks of `masu agent forward` in a box, a
// line of JSON each: to listen there with the member's rights, or to stop it.
type ForwardOrder struct {
	ID      int    `json:"id"`
	Network string `json:"network,omitempty"` // ForwardTCP, ForwardUnix or ForwardAgent; "" ends what began as ID
	Address string `json:"address,omitempty"` // "127.0.0.1:8080", or a socket's path; ForwardAgent makes its own
}

// What `masu agent forward` listens on.
const (
	ForwardTCP   = "tcp"
	ForwardUnix  = "unix"
	ForwardAgent = "agent" // a socket that only the member can open, in a folder that only they can enter
)

// ForwardEvent is what it answers. The first one tells how it is reached:
// whoever connects to Door says a ForwardCall and has the connection they mean.
type ForwardEvent struct {
	ID      int    `json:"id,omitempty"`      // the order that this is about
	Address string `json:"address,omitempty"` // where it listens
	Error   string `json:"error,omitempty"`   // or does not
	Call    int    `json:"call,omitempty"`    // somebody has connected
	From    string `json:"from,omitempty"`    // their address
	Door    int    `json:"door,omitempty"`    // a port of the box's loopback
	Secret  string `json:"secret,omitempty"`
}

// ForwardCall is the first line of a connection to the door. The answer is a
// line too: "ok", or why not.
type ForwardCall struct {
	Secret string `json:"secret"`
	Call   int    `json:"call,omitempty"` // who has connected
	Socket string `json:"socket,omitempty"`
}
