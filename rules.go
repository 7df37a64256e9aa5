package masu

// Rules are house rules that an admin sets while the lab runs, over those of
// the configuration. nil stays as configured.
type Rules struct {
	Sudo          *bool    `json:"sudo,omitempty"`           // in boxes that start from now on
	OwnDockerfile *bool    `json:"own_dockerfile,omitempty"` // members may bring a Dockerfile of their own
	Guests        *bool    `json:"guests,omitempty"`         // members may open their workspaces to others
	ShareApps     *Reach   `json:"share_apps,omitempty"`     // how far members may share single apps
	Workspaces    *int     `json:"workspaces,omitempty"`     // of each member, at most; 0 means as many as they like
	CPUs          *float64 `json:"cpus,omitempty"`           // of each box, at most; 0 means as the host allows
	Memory        *Bytes   `json:"memory,omitempty"`         // of each box, at most; 0 means as the host allows
	Disk          *Bytes   `json:"disk,omitempty"`           // of each workspace beside its project folder, at most; 0 means as much as there is
	Images        *Bytes   `json:"images,omitempty"`         // built environments that one member may keep; 0 means as much as there is
	GPUs          *int     `json:"gpus,omitempty"`           // that one member may hold; 0 means as many as there are
	GPUHours      *float64 `json:"gpu_hours,omitempty"`      // for which a holder may count on them; 0 means without end
	GPUIdleHours  *float64 `json:"gpu_idle_hours,omitempty"` // after which they go back if nothing uses them and somebody waits; 0 means never
}

// Over gives r where it says something, and below where it does not.
func (r Rules) Over(below Rules) Rules {
	return Rules{
		Sudo: either(r.Sudo, below.Sudo), OwnDockerfile: either(r.OwnDockerfile, below.OwnDockerfile), Guests: either(r.Guests, below.Guests), ShareApps: either(r.ShareApps, below.ShareApps),
		Workspaces: either(r.Workspaces, below.Workspaces), CPUs: either(r.CPUs, below.CPUs), Memory: either(r.Memory, below.Memory), Disk: either(r.Disk, below.Disk), Images: either(r.Images, below.Images),
		GPUs: either(r.GPUs, below.GPUs), GPUHours: either(r.GPUHours, below.GPUHours), GPUIdleHours: either(r.GPUIdleHours, below.GPUIdleHours),
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
