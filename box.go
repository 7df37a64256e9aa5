package masu

import (
	"io"
	"time"
)

// AgentPort is the port on the box's own loopback where the agent (PID 1) answers HTTP.
const AgentPort = 7625

// Where things are inside every box. /masu is read-only to everybody but the agent.
const (
	AgentPath   = "/masu/masu"           // this program, mounted read-only
	AgentSocket = "/masu/run/agent.sock" // only in boxes whose RuntimeInfo.Rootless is true
	EditorPath  = "/masu/code"           // VS Code for the browser, mounted read-only where it was asked for
)

// StreamsSocket is where, in its box's network, a command is given its input and
// output by masu itself: an abstract name that only root there knows.
func StreamsSocket(key string) string { return "@masu-streams-" + key }

// Box is what a runtime runs for a workspace or for a run.
type Box struct {
	ID        WorkspaceID
	Name      string // the workspace's, for people who list containers
	Run       bool   // a run: gone when it ends
	Owner     User
	Image     string // ID of the image
	Mounts    []Mount
	GPUs      []GPUID
	Limits    Limits
	Agent     AgentSpec
	Variables map[string]string // the member's; the runtime adds and overrides its own
	Sides     []Side            `json:",omitempty"` // what runs beside it; without, a box is what it was before there were any
}

// Mount brings something of the host into a box. Exactly one of Folder, Volume, Program is set.
type Mount struct {
	Folder   string // a folder on the host; it is staged, never passed by path. Owner-checked unless Dataset.
	Volume   string // a named volume of the runtime's, made when missing, kept when the box goes
	Program  string // a folder on the host with a program of masu's own: read-only, the same for all boxes; of a runtime that is no Extractor, an image that has it at Target
	Dataset  bool   // a folder that the admin lists: read-only, not owner-checked
	Target   string // absolute path in the box
	ReadOnly bool
}

// AgentSpec is what the agent must know to receive a member. It reaches the
// agent as JSON in the variable MASU_SPEC and holds no secret.
type AgentSpec struct {
	User     User              `json:"user"` // Home is the home in the box
	Work     string            `json:"work"` // the project folder in the box: HOME/work
	Sudo     bool              `json:"sudo"`
	NoSudo   string            `json:"no_sudo,omitempty"` // why not, in the member's language, shown when sudo is refused
	Apps     []AppWish         `json:"apps,omitempty"`    // none for a run
	Command  []string          `json:"command,omitempty"` // to run instead, once: the box ends with it, and with its exit code
	Env      map[string]string `json:"env,omitempty"`     // for everything the member runs
	Lang     Lang              `json:"lang,omitempty"`
	Timezone string            `json:"timezone,omitempty"`
	Locale   string            `json:"locale,omitempty"`
	Socket   bool              `json:"socket,omitempty"` // also answer on AgentSocket
}

// BoxState is what the runtime says of a box.
type BoxState string

const (
	BoxCreated BoxState = "created"
	BoxRunning BoxState = "running"
	BoxPaused  BoxState = "paused"
	BoxExited  BoxState = "exited"
)

// BoxStatus is the truth about a box, also after the daemon was away.
type BoxStatus struct {
	ID        WorkspaceID
	Owner     Username
	Name      string
	Run       bool
	State     BoxState
	Image     string
	GPUs      []GPUID
	StartedAt time.Time
	EndedAt   time.Time
	ExitCode  int
	OOM       bool   // the memory limit ended it
	Spec      string // digest of the Box that it was made from
	Handle    string // the runtime's own name for it (a container ID), for logs and doctor
	Sides     []SideStatus
	Waits     *Error // why a box that was started is yet to run; nil where it runs, has ended, or the runtime knows no such wait
}

// Exec is a command to run in a box.
type Exec struct {
	Argv   []string
	Dir    string   // "" means the project folder
	Env    []string // KEY=value, added to the member's
	Root   bool     // as root rather than as the member
	TTY    bool
	Stdin  io.Reader // nil means none
	Stdout io.Writer
	Stderr io.Writer // unused with TTY
	Size   WinSize   // first size of the terminal
	Resize <-chan WinSize
}

// OpenNotebook is a file that is open in Jupyter, with the kernel that works for it.
type OpenNotebook struct {
	Kernel string `json:"kernel"`
	Path   string `json:"path"`
}

// WinSize is the size of a terminal in characters.
type WinSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// BridgePrefix begins the names of the host's interfaces behind which boxes are.
const BridgePrefix = "masu-"

// PortsMost is how many ports that were opened by hand an agent tells of.
const PortsMost = 100

// AgentStatus is what the agent tells about its box (GET /v1/status, and one
// JSON line for each change on GET /v1/watch).
type AgentStatus struct {
	Ready      bool           `json:"ready"` // every app that was asked for answers
	Apps       []App          `json:"apps"`
	Notebooks  []OpenNotebook `json:"notebooks,omitempty"`   // that have a kernel now
	ActiveAt   time.Time      `json:"active_at,omitzero"`    // when a member last did something there
	PasswordID string         `json:"password_id,omitempty"` // a new password that was set inside the box waits: see /v1/password
	GPULost    bool           `json:"gpu_lost,omitempty"`    // the kernel refuses the box its GPUs, which it let it have before
}
