package masu

// Rules are house rules that an admin sets while the lab runs, over those of
// the configuration. nil stays as configured.
type Rules struct {
	Sudo          *bool    `json:"sudo,omitempty"`           // in boxes that start from now on
	OwnDockerfile *bool    `json:"own_dockerfile,omitempty"` // members may bring a Dockerfile of their own
	Guests        *bool    `json:"guests,omitempty"`         // members may open their workspaces to others
	Workspaces    *int     `json:"workspaces,omitempty"`     // of each member, at most; 0 means as many as they like
	CPUs          *float64 `json:"cpus,omitempty"`           // of each box, at most; 0 means as the host allows
	Memory        *Bytes   `json:"memory,omitempty"`         // of each box, at most; 0 means as the host allows
}

// Over gives r where it says something, and below where it does not.
func (r Rules) Over(below Rules) Rules {
	return Rules{
		Sudo: either(r.Sudo, below.Sudo), OwnDockerfile: either(r.OwnDockerfile, below.OwnDockerfile), Guests: either(r.Guests, below.Guests),
		Workspaces: either(r.Workspaces, below.Workspaces), CPUs: either(r.CPUs, below.CPUs), Memory: either(r.Memory, below.Memory),
	}
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// RulesNow is what holds, and where it comes from.
type RulesNow struct {
	Configured Rules `json:"configured"` // every field is said
	Set        Rules `json:"set"`
}
