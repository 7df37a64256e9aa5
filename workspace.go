package masu

import "time"

// WorkspaceID identifies a workspace, or the box of a run, for ever: 12 lower-case letters and digits.
type WorkspaceID string

// Phase is where a workspace is on its way: building → waiting → starting →
// running → stopping → stopped; any → failed.
type Phase string

const (
	Building Phase = "building"
	Waiting  Phase = "waiting" // in the queue for GPUs
	Starting Phase = "starting"
	Running  Phase = "running"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped"
	Failed   Phase = "failed"
)

// Settled tells whether the phase lasts until somebody acts.
func (p Phase) Settled() bool { return p == Running || p == Stopped || p == Failed }

// Workspace is a member's place to work. It outlives its box.
type Workspace struct {
	ID      WorkspaceID  `json:"id"`
	Owner   Username     `json:"owner"`
	Name    string       `json:"name"`    // unique for its owner
	Label   string       `json:"label"`   // NAME--USER made fit for a host name; unique in the lab
	Project Project      `json:"project"` // as it was read at the last up: what runs equals what was checked
	Phase   Phase        `json:"phase"`
	Trouble *Trouble     `json:"trouble,omitempty"`  // with Failed, or Stopped by something else than its owner: why; Running: why it goes on without its GPUs
	Image   string       `json:"image,omitempty"`    // ID of the image it runs or last ran
	Disk    Bytes        `json:"disk,omitempty"`     // that its home and its box take, as last looked; project folders do not count
	DiskMax Bytes        `json:"disk_max,omitempty"` // that they may take together with its services' data, where that is held; 0: as much as there is
	Order   []Layer      `json:"order,omitempty"`    // how the last build was layered, so that additions become later layers
	GPUs    []GPUID      `json:"gpus,omitempty"`
	Until   time.Time    `json:"until,omitzero"`     // its owner may count on the GPUs until then; zero: no end
	EndsAt  time.Time    `json:"ends_at,omitzero"`   // announced: the GPUs will be taken back then
	EndWhy  EndReason    `json:"end_why,omitempty"`  // with EndsAt
	Asked   []Username   `json:"asked,omitempty"`    // who would like to have the GPUs
	OrCPU   bool         `json:"or_cpu,omitempty"`   // it may run without its GPUs: while it waits for them, and when they are taken back
	Lost    bool         `json:"gpu_lost,omitempty"` // its box is refused its GPUs, which it had: it must be started again
	Waits   bool         `json:"waits,omitempty"`    // it runs on the CPU, and has its place in the queue
	Queue   Forecast     `json:"queue,omitzero"`     // with the phase Waiting, or Waits: that place; told, and not kept
	Apps    []App        `json:"apps,omitempty"`     // as the agent last told
	Sides   []SideStatus `json:"services,omitempty"` // as the runtime last told
	Adopted *Adoption    `json:"adopted,omitempty"`  // a container that somebody made by hand; such a workspace has no project
	Class   string       `json:"class,omitempty"`    // of work, where its owner named one: the queue goes by it
	Guests  []Username   `json:"guests,omitempty"`   // colleagues to whom its owner opened it

	// Shares are single apps of it that its owner lets others open.
	Shares []AppShare `json:"shares,omitempty"`
	// Part says that this is only what somebody sees with whom an app was shared.
	Part bool `json:"part,omitempty"`

	// Opened is whether it ever had a guest or another owner, or shared an app: what is done inside may since then be another's doing.
	Opened bool `json:"opened,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"` // when Phase last changed
	UsedAt    time.Time `json:"used_at,omitzero"`
}

// Trouble says why something failed or stopped, as a sentence of internal/text.
type Trouble struct {
	Kind Kind     `json:"kind"`
	Code string   `json:"code"`
	Args []string `json:"args,omitempty"`
}

// GaveBack forgets what a box had that runs no more.
func (w *Workspace) GaveBack() {
	w.Apps, w.Sides, w.GPUs, w.Asked, w.Lost, w.Waits, w.Until, w.EndsAt, w.EndWhy = nil, nil, nil, nil, false, false, time.Time{}, time.Time{}, ""
}

// Without tells whether it runs without the GPUs that it is meant to have.
func (w Workspace) Without() bool {
	return w.Phase == Running && len(w.GPUs) == 0 && !w.Project.Want.None() && w.Adopted == nil
}

// Err gives the trouble as an error.
func (t *Trouble) Err() *Error { return &Error{Kind: t.Kind, Code: t.Code, Args: t.Args} }

// Layer is the packages that one step of a build adds.
type Layer struct {
	Apt []string `json:"apt,omitempty"`
	Pip []string `json:"pip,omitempty"`
}

// App is a web program in a workspace.
type App struct {
	Name  string    `json:"name"`            // "jupyter", "tensorboard", or "p8889" for a port that the member opened by hand
	Port  int       `json:"port"`            // on the box's loopback
	Ready bool      `json:"ready"`           // it answers
	Rests bool      `json:"rests,omitempty"` // it begins when somebody opens it
	Own   bool      `json:"own,omitempty"`   // the member's, by a command in masu.yaml
	Since time.Time `json:"since,omitzero"`
	Slow  bool      `json:"slow,omitempty"`  // it runs, and has not answered for a while
	Error string    `json:"error,omitempty"` // last words of an app that keeps dying, or is slow

	// Command is how the program at a port that was opened by hand was begun, as far as it can be seen; its owner's to know.
	Command string `json:"command,omitempty"`
}

// State is a word for how the app stands: "ready", "rests", "slow", "fails" or "starts".
func (a App) State() string {
	switch {
	case a.Ready:
		return "ready"
	case a.Rests:
		return "rests"
	case a.Slow:
		return "slow"
	case a.Error != "":
		return "fails"
	}
	return "starts"
}

// Programs are the apps of a workspace, also when it does not run.
func (w Workspace) Programs() []App {
	if w.Phase == Running {
		return w.Apps
	}
	wishes := w.Project.Apps
	if len(wishes) == 0 {
		wishes = NamedApps("jupyter")
	}
	var out []App
	for _, x := range wishes {
		a := App{Name: x.Name, Port: x.Port, Rests: true, Own: x.Command != ""}
		if port, known := AppPort(x.Name); known {
			a.Port = port
		}
		out = append(out, a)
	}
	return out
}

// App returns the named app.
func (w Workspace) App(name string) (App, bool) {
	for _, a := range w.Apps {
		if a.Name == name {
			return a, true
		}
	}
	return App{}, false
}
