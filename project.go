package masu

import (
	"io"
	"io/fs"
	"regexp"
)

// Project is a member's folder and what it asks for.
type Project struct {
	Dir         string            `json:"dir"`    // absolute, on the host
	Source      string            `json:"source"` // the file that said it: "masu.yaml", "requirements.txt", …; "" if none did
	Name        string            `json:"name,omitempty"`
	Environment Environment       `json:"environment"`
	Want        Want              `json:"want"`
	Apps        []AppWish         `json:"apps,omitempty"` // none means jupyter
	Variables   map[string]string `json:"variables,omitempty"`
	Limits      Limits            `json:"limits"`
	Sides       []SideBox         `json:"services,omitempty"` // by name
	Work        string            `json:"work,omitempty"`     // the folder inside Dir that is ~/work; "" is Dir itself
	Compose     string            `json:"compose,omitempty"`  // the compose file inside Dir that was asked to speak for it
	Notes       []Note            `json:"notes,omitempty"`    // what was ignored or assumed, for the member to read
}

// Draft is what a member said about a new project. At most one of Preset,
// Base and Dockerfile counts, the last of them first; with none it is the preset "python".
type Draft struct {
	Lang       Lang
	Preset     string
	Base       string
	Dockerfile string
	Python     string
	Torch      string
	TensorFlow string
	Apt        []string
	Pip        []string
	GPUs       int
	Want       Want // instead of GPUs, for who says more than a number
	Apps       []string
}

// Limits bounds what a box may take; a zero means the host's default.
type Limits struct {
	CPUs   float64 `json:"cpus,omitempty"`
	Memory Bytes   `json:"memory,omitempty"`
	Shm    Bytes   `json:"shm,omitempty"`
	PIDs   int     `json:"pids,omitempty"`
	Disk   Bytes   `json:"disk,omitempty"` // of what a box writes beside its folder, its home and the data of its services, together; held where RuntimeInfo.DiskLimits
}

// Note is a sentence of internal/text that is worth reading but is no error.
type Note struct {
	Code string   `json:"code"`
	Args []string `json:"args,omitempty"`
}

// Folder is a member's folder, opened once by descriptor and read with the
// member's own rights: no link is followed out of it, and nothing is read that
// the member could not read.
type Folder interface {
	fs.FS
	fs.StatFS
	fs.ReadDirFS
	io.Closer
	Dir() string // the path it was opened by
}

// Folders opens members' folders. A folder that is not the member's, is no
// folder, or is reached through a link, is refused: Denied "folder_not_yours",
// Invalid "folder_not_found", "folder_not_a_folder", "folder_is_a_link".
type Folders interface {
	OpenFolder(u User, dir string) (Folder, error)
	// MakeFolder makes dir, whose parent must be there and the member's; Conflict "folder_exists".
	MakeFolder(u User, dir string) error
	// WriteFile puts a small file into a folder of the member's, as the member: wholly or not at all.
	WriteFile(u User, dir, name string, data []byte) error
}

// Listing is what a member sees of a folder when looking for a project.
type Listing struct {
	Dir     string   `json:"dir"`
	Folders []string `json:"folders,omitempty"` // names, without hidden ones; at most ListingMost
	Source  string   `json:"source,omitempty"`  // the file that says what the folder asks for; "" if none does
	More    bool     `json:"more,omitempty"`    // there are more folders than these
}

// ListingMost bounds a Listing.
const ListingMost = 500

var workspaceName = regexp.MustCompile(`^[a-z](?:-?[a-z0-9])*$`)

// ValidWorkspaceName tells whether s may name a workspace: 1 to 30 lower-case
// letters, digits and single hyphens, beginning with a letter. It is part of a
// host name, which is why folders may have Japanese names and workspaces not.
func ValidWorkspaceName(s string) bool { return len(s) <= 30 && workspaceName.MatchString(s) }

// ValidAppName tells whether s may name an app: 1 to 20 lower-case letters and
// digits, beginning with a letter. It is asked for every request to an app, so
// it is no regular expression.
func ValidAppName(s string) bool {
	if s == "" || len(s) > 20 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
