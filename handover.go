package masu

import "context"

// HandoverWish asks to hand what a member leaves to another.
type HandoverWish struct {
	From  Username          `json:"from"`
	To    Username          `json:"to"`
	Only  []string          `json:"only,omitempty"`  // workspaces by name; none: all of them, and ended runs, shared environments and reservations with them
	As    map[string]string `json:"as,omitempty"`    // what workspaces are called there, by their names
	Into  string            `json:"into,omitempty"`  // folder of the receiver's for project folders that lie in the leaver's home; "" is the receiver's home
	Files bool              `json:"files,omitempty"` // move the folders, and give the files in them to the receiver
	Dry   bool              `json:"dry,omitempty"`   // only tell
}

// Handover is what was handed over, or would be.
type Handover struct {
	From         Username          `json:"from"`
	To           Username          `json:"to"`
	Workspaces   []HandedWorkspace `json:"workspaces,omitempty"`
	Folders      []HandedFolder    `json:"folders,omitempty"`
	Runs         int               `json:"runs,omitempty"`
	Environments int               `json:"environments,omitempty"`
	Reservations int               `json:"reservations,omitempty"`
	Trouble      *Trouble          `json:"trouble,omitempty"` // of a dry run: why it cannot be done yet
	Done         bool              `json:"done,omitempty"`
}

// HandedWorkspace is one that changes its owner.
type HandedWorkspace struct {
	Name    string   `json:"name"`
	As      string   `json:"as"` // its name there
	Dir     string   `json:"dir,omitempty"`
	Trouble *Trouble `json:"trouble,omitempty"` // why it cannot be yet
}

// HandedFolder is a project folder. Its files are the leaver's until somebody gives them to the receiver.
type HandedFolder struct {
	Dir     string   `json:"dir"`
	At      string   `json:"at"`              // where its workspaces look for it from then on
	Owner   Username `json:"owner,omitempty"` // now; "" where nobody knows, or it is not there
	Size    Bytes    `json:"size,omitempty"`
	Command string   `json:"command,omitempty"` // with which an admin moves and gives it
	Given   bool     `json:"given,omitempty"`   // it is done
	Trouble *Trouble `json:"trouble,omitempty"` // why it was not
}

// FolderGiver is a Folders that can also give a member's folder to another, as only root can.
type FolderGiver interface {
	// LookFolder tells whose a folder is, by its number, and how much is in it.
	LookFolder(ctx context.Context, dir string) (uid int, size Bytes, err error)
	// GiveFolder moves a folder to at, unless it is there, and gives to what from owns in it:
	// Denied "folder_not_yours", Conflict "folder_exists", "folder_elsewhere" (another disk).
	GiveFolder(from, to User, dir, at string) error
}
