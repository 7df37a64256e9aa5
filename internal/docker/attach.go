package docker

import (
	"encoding/json"
)

// attached is what an editor that attaches to the container takes from its
// label: a part of a devcontainer.json.
type attached struct {
	RemoteUser      string            `json:"remoteUser"`
	WorkspaceFolder string            `json:"workspaceFolder"`
	RemoteEnv       map[string]string `json:"remoteEnv"`
	UserEnvProbe    string            `json:"userEnvProbe"`
	OverrideCommand bool              `json:"overrideCommand"`
	ShutdownAction  string            `json:"shutdownAction"`
	Customizations  customizations    `json:"customizations"`
}

type customizations struct {
	VSCode struct {
		Extensions []string `json:"extensions"`
	} `json:"vscode"`
}

// attach makes whoever attaches from an editor with the engine's socket the
// member, in the project folder, with the variables of a login there.
func (p plan) attach() string {
	s := p.box.Agent
	a := attached{
		RemoteUser:      string(p.box.Owner.Name),
		WorkspaceFolder: s.Work,
		RemoteEnv:       map[string]string{"HOME": s.User.Home, "USER": string(s.User.Name)},
		UserEnvProbe:    "loginInteractiveShell", // what /etc/profile.d says: PATH, and the member's own
		ShutdownAction:  "none",
	}
	a.Customizations.VSCode.Extensions = []string{"ms-python.python", "ms-toolsai.jupyter"}
	text, err := json.Marshal([]attached{a})
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return string(text)
}
