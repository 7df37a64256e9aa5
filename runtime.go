package masu

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"net"
	"time"
)

// Runtime builds images and runs boxes. Drivers are stateless: what must be
// remembered is on the box as labels, and a deterministic name is the lock. A
// runtime sees the boxes of its own lab only. masutest.Runtime is the suite
// that every driver passes.
type Runtime interface {
	Builder
	Runner
	io.Closer
	Info(ctx context.Context) (RuntimeInfo, error)
}

// RuntimeInfo describes a runtime to doctor and to the lab.
type RuntimeInfo struct {
	Name        string // "docker"
	Version     string
	API         string
	LiveRestore bool
	CDI         []string // folders of the specifications of CDI devices; none: the engine gives no such devices
	Rootless    bool     // masu is not root on this host: folders are mounted plainly, boxes dialled through AgentSocket
	Fleeting    bool     // what a box wrote beside its volumes, and printed, goes when it is stopped and started again
	Root        string   // where it keeps its data
	Cgroup      string   // "1" or "2"
	DiskLimits  bool     // Limits.Disk is held
	Warnings    []string
}

// BuildRequest is what Builder.Build needs.
type BuildRequest struct {
	Ref        ImageRef
	Files      fs.FS  // the build context
	Dockerfile string // its path in Files
	Target     string
	Args       map[string]string
	Labels     map[string]string
	NoCache    bool
}

// Builder makes and keeps images.
type Builder interface {
	// Build makes an image and returns its ID. Closing ctx ends the build
	// within seconds and leaves no image. A failing step is Invalid
	// "build_failed" with the step's number, its name and its exit code as
	// arguments; its last lines have then been passed to progress.
	Build(ctx context.Context, r BuildRequest, progress func(Progress)) (id string, err error)
	// Image tells about an image that the engine has; NotFound "no_image" if it has not.
	Image(ctx context.Context, ref ImageRef) (Image, error)
	// Pull fetches an image from its registry: NotFound "no_image" if the
	// registry says so, Unreachable "registry_unreachable" if none answers.
	Pull(ctx context.Context, ref ImageRef, progress func(Progress)) error
	// Import makes an image of a root file system's tar.
	Import(ctx context.Context, ref ImageRef, tar io.Reader, labels map[string]string) error
	// Images lists the images of the engine that carry masu's labels.
	Images(ctx context.Context) ([]Image, error)
	// RemoveImage succeeds when it is already gone; Conflict "image_in_use" if a box needs it.
	RemoveImage(ctx context.Context, ref ImageRef) error
	Carrier
}

// Carrier brings images in and out.
type Carrier interface {
	// ImageFile gives a small file of an image, which does not run for it; NotFound "image_no_record" if it has none there.
	ImageFile(ctx context.Context, ref ImageRef, path string) ([]byte, error)
	// Tag gives an image one more name.
	Tag(ctx context.Context, ref, name ImageRef) error
	// Save writes an image as an archive, with no name of its own.
	Save(ctx context.Context, ref ImageRef, w io.Writer) error
	// Load takes an archive with all names in it; the caller has seen to which. Invalid "image_damaged".
	Load(ctx context.Context, archive io.Reader) error
	// Push copies an image to where to names: Denied "registry_denied", Unreachable "registry_unreachable".
	Push(ctx context.Context, ref, to ImageRef, auth RegistryAuth, progress func(Progress)) error
	// Fetch is Pull under another name than the registry's: it errs alike, and Denied "registry_denied".
	Fetch(ctx context.Context, ref, as ImageRef, auth RegistryAuth, progress func(Progress)) error
}

// Runner runs boxes. Start, Stop and Remove succeed when it is already so.
type Runner interface {
	// Start makes the box's container and starts it, or starts the stopped one
	// if it was made from an equal Box and the same image; another one is replaced.
	// Its side boxes come first, made anew; the box waits until each of them is
	// ready: Conflict "side_died" (name, exit code, last words), Unreachable
	// "side_unready" (name, last words); Full "sides_full" where the runtime has no
	// network left. They and the box know each other by name; nobody else reaches
	// them. One that fails is started again, with growing pauses, until it has
	// failed too often.
	Start(ctx context.Context, b Box) error
	// Stop asks the agent to end, and ends the box after grace, then its side boxes. All of them stay, stopped.
	Stop(ctx context.Context, id WorkspaceID, grace time.Duration) error
	// Remove ends the box and its side boxes at once and removes them; their volumes stay.
	Remove(ctx context.Context, id WorkspaceID) error
	// RemoveVolume removes a named volume that Mount.Volume made.
	RemoveVolume(ctx context.Context, name string) error
	// Volumes names the volumes that were made for the box and its side boxes.
	Volumes(ctx context.Context, id WorkspaceID) ([]string, error)
	// Boxes tells the truth about every box of this lab.
	Boxes(ctx context.Context) ([]BoxStatus, error)
	// Box tells it about one; NotFound "no_box".
	Box(ctx context.Context, id WorkspaceID) (BoxStatus, error)
	// Changes yields the ID of a box whose state may have changed. It may over-report but
	// never misses a death; when the engine goes away it yields one error and ends.
	Changes(ctx context.Context) iter.Seq2[WorkspaceID, error]
	// Exec runs a command as the member and returns its exit code (126 cannot
	// run, 127 not found). When ctx ends, the command and its children are ended too.
	// As root it is Denied "no_root_here" in a box without sudo: what root may do to the folders there, root may on the host.
	Exec(ctx context.Context, id WorkspaceID, e Exec) (int, error)
	// Logs copies what the box has printed; with follow, until it ends or ctx does.
	Logs(ctx context.Context, id WorkspaceID, w io.Writer, follow bool) error
	// SideLogs is Logs of a side box; NotFound "no_side".
	SideLogs(ctx context.Context, id WorkspaceID, side string, w io.Writer, follow bool) error
	// Dial connects to a port on the box's own loopback. It is the only way in; no port of a box is ever published.
	Dial(ctx context.Context, id WorkspaceID, port int) (net.Conn, error)
}

// Bases makes base images from the distribution's own packages, for hosts that reach no registry.
type Bases interface {
	Can(ref ImageRef) bool
	// Make writes the root file system as a tar; lines of its log go to line.
	Make(ctx context.Context, ref ImageRef, tar io.Writer, line func(string)) error
}

// Load is what a box uses now.
type Load struct {
	CPU         float64 `json:"cpu"` // cores
	Memory      Bytes   `json:"memory"`
	MemoryLimit Bytes   `json:"memory_limit"`
	PIDs        int     `json:"pids"`
}

// Use is what a box has used from its start.
type Use struct {
	CPU    time.Duration `json:"cpu"`    // of all processors together
	Memory Bytes         `json:"memory"` // now, or of a run: the most that was seen
}

// Gauge is what a box reads of itself.
type Gauge struct {
	Use
	MemoryLimit Bytes `json:"memory_limit"`
	PIDs        int   `json:"pids"`
}

// Extractor is what a runtime may offer besides.
type Extractor interface {
	// Extract writes a folder of an image as a tar, in which the folder's own
	// name comes first; NotFound "no_image". No program of the image is run.
	Extract(ctx context.Context, ref ImageRef, folder string, tar io.Writer) error
}

// Volume says whose a volume is to a runtime that may have to make it, or to read it as its owner.
type Volume struct {
	Name  string
	Of    WorkspaceID
	Owner User
}

// Hauler is what a runtime may offer besides: it takes volumes from and to other runtimes, while no box runs with them.
type Hauler interface {
	// PackVolume writes what a volume holds as a tar, with owners, modes, times
	// and links; NotFound "no_volume".
	PackVolume(ctx context.Context, v Volume, tar io.Writer) error
	// UnpackVolume makes a volume that holds what the tar does and nothing else;
	// what it held before goes. Conflict "volume_in_use" if a box has it. Where nobody may be root, all of it becomes the
	// owner's. When it fails, the volume is as far as it came; an error of the
	// reader is returned as it is.
	UnpackVolume(ctx context.Context, v Volume, tar io.Reader) error
}

// Measurer is what a runtime may offer besides.
type Measurer interface {
	Measure(ctx context.Context, id WorkspaceID) (Load, error)
	// Used is so cheap that it may be asked twice a second of every box that runs.
	Used(ctx context.Context, id WorkspaceID) (Use, error)
	// Disk tells what a running box has written beside its image, and what its
	// volumes hold, and how much of that there may be; most is 0 where no limit is
	// held. Project folders do not count. It may take seconds where most is 0.
	Disk(ctx context.Context, id WorkspaceID) (used, most Bytes, err error)
}
