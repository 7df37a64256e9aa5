package masu

// SideBox is a named box beside a workspace's own, as a project asks for it: a
// database, a vector store. People write and read it as a service. It begins
// and ends with the workspace, and only the workspace's boxes reach it, by name.
type SideBox struct {
	Name       string            `json:"name"`
	Image      ImageRef          `json:"image,omitempty"`
	Build      *Environment      `json:"build,omitempty"`      // instead of Image: a Dockerfile of the project
	Entrypoint []string          `json:"entrypoint,omitempty"` // instead of the image's; as Command
	Command    []string          `json:"command,omitempty"`
	Dir        string            `json:"dir,omitempty"` // where the command begins; "" means where the image says
	Variables  map[string]string `json:"variables,omitempty"`
	Volumes    []SideVolume      `json:"volumes,omitempty"`
	Health     []string          `json:"health,omitempty"` // a command that succeeds when it is well; none: the image's own, if it has one
	Limits     Limits            `json:"limits"`
}

// SideVolume is what a side box keeps or is shown. Exactly one of Name, Folder is set.
type SideVolume struct {
	Name     string `json:"name,omitempty"`   // a volume of the workspace's, which goes with it
	Folder   string `json:"folder,omitempty"` // a folder inside the project's; "." is the project's
	Target   string `json:"target"`           // absolute path in the side box
	ReadOnly bool   `json:"read_only,omitempty"`
}

// SidesMost bounds the side boxes of one workspace.
const SidesMost = 8

// ValidSideName tells whether s may name a side box: it is part of a host name, as a workspace's is.
func ValidSideName(s string) bool { return ValidWorkspaceName(s) && s != "localhost" }

// Side is what a runtime runs beside a box.
type Side struct {
	Name       string
	Image      string // ID of the image
	Entrypoint []string
	Command    []string
	Dir        string
	Variables  map[string]string
	Mounts     []Mount // an empty volume begins with what the image has in its place
	Health     []string
	Limits     Limits
}

// SideState is how a side box stands.
type SideState string

const (
	SideStarting SideState = "starting" // it runs, and is not well yet, or is about to be started again
	SideReady    SideState = "ready"    // it runs and is well, as far as it can tell
	SideUnwell   SideState = "unwell"   // it runs, and its health command fails
	SideEnded    SideState = "ended"
)

// SideStatus is the truth about a side box.
type SideStatus struct {
	Name     string    `json:"name"`
	State    SideState `json:"state"`
	ExitCode int       `json:"exit_code,omitempty"` // of one that has ended
	OOM      bool      `json:"oom,omitempty"`       // the memory limit ended it
	Restarts int       `json:"restarts,omitempty"`  // how often it has failed and was started again
}
