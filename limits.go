package masu

// MemberLimits is how much one member may have, where an admin has said
// something else for them than the house rules say for everybody. nil is as the rules say.
type MemberLimits struct {
	Workspaces *int     `json:"workspaces,omitempty"`
	GPUs       *int     `json:"gpus,omitempty"`   // at once
	Runs       *int     `json:"runs,omitempty"`   // that go at once; the others wait in line
	Builds     *int     `json:"builds,omitempty"` // of images, at once
	CPUs       *float64 `json:"cpus,omitempty"`   // of each of their boxes, as the rule is
	Memory     *Bytes   `json:"memory,omitempty"` // of each of their boxes
	Disk       *Bytes   `json:"disk,omitempty"`   // of each of their workspaces beside its project folder
	Images     *Bytes   `json:"images,omitempty"` // built environments that they may keep
}

// LeastSize is the least memory and the least disk of a box: with less a notebook only dies.
const LeastSize = 256 * MiB

const mostCPUs = 4096

// Over gives l where it says something, and below where it does not.
func (l MemberLimits) Over(below MemberLimits) MemberLimits {
	return MemberLimits{
		Workspaces: either(l.Workspaces, below.Workspaces), GPUs: either(l.GPUs, below.GPUs), Runs: either(l.Runs, below.Runs), Builds: either(l.Builds, below.Builds),
		CPUs: either(l.CPUs, below.CPUs), Memory: either(l.Memory, below.Memory), Disk: either(l.Disk, below.Disk), Images: either(l.Images, below.Images),
	}
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// With gives l as a change makes it: what is nil there stays, and what is less than 0 is as the rules say again.
func (l MemberLimits) With(c MemberLimits) MemberLimits {
	c = c.Over(l)
	return MemberLimits{
		Workspaces: said(c.Workspaces), GPUs: said(c.GPUs), Runs: said(c.Runs), Builds: said(c.Builds),
		CPUs: said(c.CPUs), Memory: said(c.Memory), Disk: said(c.Disk), Images: said(c.Images),
	}
}

func said[T int | float64 | Bytes](v *T) *T {
	if v == nil || *v < 0 {
		return nil
	}
	return v
}

// Valid tells whether a change can be meant. A member may be given none of
// what is counted, but a box without processors, memory or disk is no box.
func (l MemberLimits) Valid() bool {
	for _, n := range []*int{l.Workspaces, l.GPUs, l.Runs, l.Builds} {
		if n != nil && *n > many {
			return false
		}
	}
	return (l.CPUs == nil || *l.CPUs < 0 || *l.CPUs > 0 && *l.CPUs <= mostCPUs) && noneOrAtLeast(l.Memory, LeastSize) && noneOrAtLeast(l.Disk, LeastSize)
}

func noneOrAtLeast(b *Bytes, least Bytes) bool {
	return b == nil || *b < 0 || *b >= least
}
