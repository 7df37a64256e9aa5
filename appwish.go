package masu

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// AppWish is a program that a project wants in its workspace. One that masu
// knows needs no more than its name, and is written as that.
type AppWish struct {
	Name    string        `json:"name"`
	Command string        `json:"command,omitempty"`  // run by the box's shell in the project folder; "" for one that masu knows
	Port    int           `json:"port,omitempty"`     // of the box's loopback, where the command listens: $PORT
	Health  string        `json:"health,omitempty"`   // answers when the app is well; "" means that the port does
	OnVisit bool          `json:"on_visit,omitempty"` // begins when somebody first opens it, and not with the box
	IdleFor time.Duration `json:"idle_for,omitempty"` // ends when nobody is connected for so long; 0 means never
	Logs    string        `json:"logs,omitempty"`     // folder that tensorboard shows, in the project folder
}

// wish is AppWish without its ways to be written.
type wish AppWish

// MarshalJSON is json.Marshaler's.
func (a AppWish) MarshalJSON() ([]byte, error) {
	if a == (AppWish{Name: a.Name}) {
		return json.Marshal(a.Name)
	}
	return json.Marshal(wish(a))
}

// UnmarshalJSON is json.Unmarshaler's.
func (a *AppWish) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = AppWish{}
		return json.Unmarshal(b, &a.Name)
	}
	return json.Unmarshal(b, (*wish)(a))
}

// AppPort is where an app that masu knows listens; false for another.
func AppPort(name string) (int, bool) {
	switch name {
	case "jupyter":
		return 8888, true
	case "tensorboard":
		return 6006, true
	case "code":
		return 8443, true
	}
	return 0, false
}

// IsAppPort tells whether an app that masu knows listens there.
func IsAppPort(port int) bool { return port == 8888 || port == 6006 || port == 8443 }

// NamedApps are wishes for apps that masu knows.
func NamedApps(names ...string) []AppWish {
	var out []AppWish
	for _, n := range names {
		out = append(out, AppWish{Name: n})
	}
	return out
}

// HasApp tells whether a project wants an app of that name.
func (p Project) HasApp(name string) bool {
	for _, a := range p.Apps {
		if a.Name == name {
			return true
		}
	}
	return false
}

// Programs is the part of Service about the apps of a workspace, for its owner.
type Programs interface {
	// PutApp writes an app into the masu.yaml of the workspace's folder, in the
	// place of one of that name, and starts it where the workspace runs.
	PutApp(ctx context.Context, name string, a AppWish) error
	// DropApp takes an app out of masu.yaml and ends it; NotFound "no_app".
	DropApp(ctx context.Context, name, app string) error
	// StartApp and StopApp are for one that masu.yaml names, in a workspace that runs.
	StartApp(ctx context.Context, name, app string) error
	StopApp(ctx context.Context, name, app string) error
	// AppLog copies what an app has printed lately; with follow, until it ends or ctx does.
	AppLog(ctx context.Context, name, app string, w io.Writer, follow bool) error
}
