package masu

import (
	"context"
	"io"
	"iter"
	"net"
	"net/netip"
	"time"
)

// Service is what one actor may do. lab.As(actor) makes it, in the daemon;
// api.Client is the same over a unix socket, so the wire loses nothing
// (masutest.Service runs on both). Workspaces are named by their name, by
// OWNER/NAME (admins, guests), or by ID; one that is not yours is NotFound "no_workspace".
type Service interface {
	// Whoami tells the actor and the daemon it talks to.
	Whoami(ctx context.Context) (Hello, error)

	Projects
	Sharing
	AppSharing
	Lending
	Programs
	Accounting
	Runs
	Images
	Identity
	SSHKeys
	Administration
	// Up records the wish and returns at once; Watch tells how it goes. A
	// workspace that already runs as wished is returned unchanged; one that runs
	// an older environment is brought to the new one only with Restart.
	Up(ctx context.Context, r UpRequest) (Workspace, error)
	// Watch replays what the operation on the workspace has told so far, then
	// follows it, and ends when the phase has settled.
	Watch(ctx context.Context, name string) iter.Seq2[Progress, error]
	// Stop ends the box (or the build, or the wait) and keeps everything. It returns when it is so.
	Stop(ctx context.Context, name string) (Workspace, error)
	// Remove forgets the workspace and deletes its home; the project folder is never touched.
	Remove(ctx context.Context, name string) error
	Workspace(ctx context.Context, name string) (Workspace, error)
	// Workspaces lists the actor's, then those opened to them; with all, an admin's view of everybody's.
	Workspaces(ctx context.Context, all bool) ([]Workspace, error)
	// Changes yields each workspace that Workspaces lists as it changes, beginning with all of them;
	// one that was removed, or shut to the actor, comes with an empty Phase.
	Changes(ctx context.Context) iter.Seq2[Workspace, error]

	// Board tells who uses how much of the host now; it may take a second.
	Board(ctx context.Context) (Board, error)
	// Samples tells what a workspace used, minute by minute, the oldest first; SamplesFor is how far it goes back.
	Samples(ctx context.Context, name string, since time.Time) ([]Sample, error)

	// Added tells which packages were installed by hand in a running workspace.
	Added(ctx context.Context, name string) (Layer, error)
	// Keep writes packages into the file that speaks for the workspace's folder, so that the next
	// start has them; Invalid "keep_by_hand" where masu cannot (a Dockerfile).
	Keep(ctx context.Context, name string, l Layer) error

	Exec(ctx context.Context, name string, e Exec) (int, error)
	Logs(ctx context.Context, name string, w io.Writer, follow bool) error
	// SideLogs copies what a side box of a workspace has printed; NotFound "no_side".
	SideLogs(ctx context.Context, name, side string, w io.Writer, follow bool) error
	Dial(ctx context.Context, name string, port int) (net.Conn, error)
	// Run runs a command in a fresh box that is gone when it ends.
	Run(ctx context.Context, r RunRequest, progress func(Progress)) (int, error)

	// Build makes the environment's image without starting anything; closing ctx cancels it and leaves nothing behind.
	Build(ctx context.Context, r BuildWish, progress func(Progress)) (Image, error)
	Images(ctx context.Context) ([]ImageUse, error)
	// RemoveImage is for the image's owners and admins.
	RemoveImage(ctx context.Context, ref ImageRef) error
	// PruneImages removes what no workspace needs; with dry it only tells.
	PruneImages(ctx context.Context, dry bool) ([]ImageUse, error)

	// SetPassword sets the actor's own; "" means sign-in by link or ssh only. Too short is Invalid "password_short".
	SetPassword(ctx context.Context, password string) error
	SetLang(ctx context.Context, lang Lang) error
	// Link makes a one-time link to the pages, or into a workspace when name is set.
	Link(ctx context.Context, name string) (OpenLink, error)
}

// Projects is the part of Service that looks into the actor's folders, with the
// actor's own rights, and writes nothing but masu.yaml and new folders.
type Projects interface {
	// Choices lists the environments that run on this host, the default first.
	Choices(ctx context.Context) ([]Choice, error)
	// Browse tells what is in a folder, for somebody who looks for the right one.
	Browse(ctx context.Context, dir string) (Listing, error)
	// MakeFolder makes an empty folder inside one that is there; Conflict "folder_exists".
	MakeFolder(ctx context.Context, dir string) error
	// Read says what a folder asks for, and how it would be met, without doing it.
	Read(ctx context.Context, dir string) (Plan, error)
	// Preview is Read as if the folder's masu.yaml were text.
	Preview(ctx context.Context, dir, text string) (Plan, error)
	// ProjectFile gives the text of a folder's masu.yaml; "" if there is none.
	ProjectFile(ctx context.Context, dir string) (string, error)
	// WriteProjectFile puts text, which must be right, in the place of a folder's
	// masu.yaml; Conflict "project_changed" if that is not old any more.
	WriteProjectFile(ctx context.Context, dir, old, text string) error
}

// Hello is the answer to Whoami.
type Hello struct {
	Actor    Actor        `json:"actor"`
	Version  string       `json:"version"`
	Lab      string       `json:"lab"`
	Host     Host         `json:"host"`
	HostName string       `json:"host_name"`
	Pages    string       `json:"pages"`              // URL of the pages
	Personal bool         `json:"personal,omitempty"` // the daemon is the member's own, not root's
	Notes    []Note       `json:"notes,omitempty"`    // what every member should know: maintenance, no TLS, …
	House    House        `json:"house,omitzero"`
	Reach    Reach        `json:"reach,omitempty"` // how far members may share an app
	SSH      SSHDoor      `json:"ssh,omitzero"`
	Classes  []string     `json:"classes,omitempty"` // of work, that the actor may name in UpRequest
	Limits   MemberLimits `json:"limits,omitzero"`   // that hold for the actor; nil is without one
}

// UpRequest asks for a running workspace.
type UpRequest struct {
	Dir     string `json:"dir,omitempty"`     // project folder, absolute; "" with Name starts a workspace again
	Compose string `json:"compose,omitempty"` // a compose file inside Dir, which then speaks for the folder
	Name    string `json:"name,omitempty"`    // "" means after the folder
	Preset  string `json:"preset,omitempty"`  // when the folder says nothing
	Want    *Want  `json:"want,omitempty"`    // instead of the project's
	Class   string `json:"class,omitempty"`   // of work, by which the queue for GPUs goes; Invalid "class_unknown", Denied "class_denied"
	OrCPU   *bool  `json:"or_cpu,omitempty"`  // Workspace.OrCPU; nil leaves it as it is
	Restart bool   `json:"restart,omitempty"`
	NoCache bool   `json:"no_cache,omitempty"`
}

// RunRequest asks for a command in a fresh box.
type RunRequest struct {
	Dir    string   `json:"dir,omitempty"`   // project folder: its environment, and ~/work; "" means no folder
	Image  ImageRef `json:"image,omitempty"` // an image instead of the project's environment
	Preset string   `json:"preset,omitempty"`
	Name   string   `json:"name,omitempty"`
	Want   *Want    `json:"want,omitempty"`
	Exec   Exec     `json:"-"`
}

// BuildWish asks for an image.
type BuildWish struct {
	Dir     string `json:"dir"`
	Preset  string `json:"preset,omitempty"`
	NoCache bool   `json:"no_cache,omitempty"`
	Compact bool   `json:"compact,omitempty"` // fold the layers that additions have made
}

// Plan is what masu would do for a folder.
type Plan struct {
	Project Project  `json:"project"`
	Base    ImageRef `json:"base"`
	Recipe  []File   `json:"recipe"`          // the build context in plain text, for people
	Ref     ImageRef `json:"ref"`             // what the image will be called
	Built   bool     `json:"built"`           // it exists already
	Notes   []Note   `json:"notes,omitempty"` // what was chosen and why
}

// File is a small text file.
type File struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Mode uint32 `json:"mode,omitempty"` // 0 means 0644
}

// ImageUse is an image with who needs it.
type ImageUse struct {
	Image
	Owners     []Username `json:"owners,omitempty"`
	Workspaces []string   `json:"workspaces,omitempty"` // OWNER/NAME
}

// OpenLink is a one-time link.
type OpenLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// Gate answers "who is this?". Every refusal is Denied "signin_wrong" with the
// same words, whatever was wrong, except Full "signin_too_often" (argument: seconds to wait).
type Gate interface {
	ByUID(ctx context.Context, uid int) (User, error) // Denied "not_a_member"
	ByPassword(ctx context.Context, name Username, password string, from netip.Addr) (User, error)
	ByLink(ctx context.Context, secret string) (User, Link, error)

	// ByName is for a member whom a sign-in service has vouched for.
	ByName(ctx context.Context, name Username) (User, error)
	// ByToken is for programs that bring a token's secret.
	ByToken(ctx context.Context, secret string) (User, Token, error)
	// ByFeed is for calendars that ask for the timetable's feed.
	ByFeed(ctx context.Context, secret string, from netip.Addr) (User, error)
	// ByKey finds whose a key is, and what may be done with it. One that stands at several members is
	// the named owner's, and otherwise Conflict "key_of_many" (their names, once it is proven).
	ByKey(ctx context.Context, k KeyOffer) (User, KeyLimits, error)

	// SignIn opens a session and returns its secret; For is set for a workspace's origin.
	SignIn(ctx context.Context, s Session) (secret string, err error)
	BySession(ctx context.Context, secret string) (User, Session, error)
	// SignOut ends a session and those that hang on it; Ended tells the proxy.
	SignOut(ctx context.Context, secret string) error
	// Ended yields what has ended as it ends, so that live connections can be closed.
	Ended(ctx context.Context) iter.Seq[Ending]
	// EnterLink makes a one-time link for a workspace's own origin, for a signed-in session.
	EnterLink(ctx context.Context, s Session, id WorkspaceID, next string) (secret string, err error)
}

// Ending is a way in that has ended; one field of it is set.
type Ending struct {
	Session string   // its hash
	Token   string   // its ID
	Member  Username // shut out, or with less to say than before: whatever they have open by any door ends
}

// Origins knows the addresses under which browsers reach the pages and the
// apps. What members serve never shares an origin with the pages.
type Origins interface {
	Pages() string // "http://localhost:8888", no slash at the end
	// App gives the origin of one app of a workspace: "http://NAME--USER.localhost:8888" for jupyter,
	// "http://tensorboard--NAME--USER.localhost:8888" for another.
	App(w Workspace, app string) (string, error)
}
