package masu

import "time"

// Fill is how full something is: bytes, or cores.
type Fill struct {
	Used  float64 `json:"used"`
	Total float64 `json:"total"`
}

// Percent is between 0 and 100; 0 where the total is not known.
func (f Fill) Percent() int {
	if f.Total <= 0 {
		return 0
	}
	return int(min(max(100*f.Used/f.Total, 0), 100))
}

// Usage is what of the host is used now, by whomever.
type Usage struct {
	CPU    Fill `json:"cpu"`    // cores
	Memory Fill `json:"memory"` // bytes
}

// Board is who uses how much of the host now. Everybody in the lab may see it:
// who shares a server must be able to ask the right person.
type Board struct {
	At     time.Time  `json:"at"`
	Host   Usage      `json:"host"`
	Images Fill       `json:"images"` // the file system of images and homes, bytes
	GPUs   []BoardGPU `json:"gpus,omitempty"`
	Users  []BoardUse `json:"users,omitempty"` // who has something running, the largest memory first

	Waiting  []Wait        `json:"waiting,omitempty"`  // for GPUs, in the order of their turns
	Reserved []Reservation `json:"reserved,omitempty"` // GPUs for a time to come, the first first
	Unknown  *Trouble      `json:"unknown,omitempty"`  // why the GPUs are not known now; nothing new is lent meanwhile
}

// BoardGPU is a GPU, who holds it, and how it does.
type BoardGPU struct {
	GPU
	Holds   []Hold        `json:"holds,omitempty"`   // none: it is free; several share it
	Reading *Reading      `json:"reading,omitempty"` // of the card; nil where it is not known
	Outside []OutsideUser `json:"outside,omitempty"` // who uses it without masu
}

// Free tells whether a GPU could be lent whole.
func (g BoardGPU) Free() bool { return len(g.Holds) == 0 && len(g.Outside) == 0 && g.Fault == "" }

// Hold is a lease as everybody may see it.
type Hold struct {
	Lease     LeaseID   `json:"lease"`
	Member    Username  `json:"member"`
	Workspace string    `json:"workspace,omitempty"` // its name, or the run's, for its owner and admins
	Notebooks []string  `json:"notebooks,omitempty"` // that compute on it, for the same
	Share     Bytes     `json:"share,omitempty"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	Why       EndReason `json:"why,omitempty"`
	Lost      bool      `json:"lost,omitempty"` // its box is refused the GPU, which is well
}

// OutsideUser is somebody who uses a GPU past masu, so that people can ask them.
type OutsideUser struct {
	Login   string `json:"login,omitempty"` // "" where it cannot be told
	Command string `json:"command"`
	PID     int    `json:"pid"`
	Memory  Bytes  `json:"memory"`
}

// BoardUse is what one member's running boxes take.
type BoardUse struct {
	Member  Username  `json:"member"`
	Running int       `json:"running"`
	CPU     float64   `json:"cpu"` // cores
	Memory  Bytes     `json:"memory"`
	GPUs    int       `json:"gpus"`
	Since   time.Time `json:"since"` // of the oldest
}

// Sample is what the box of a workspace or of a run used in one minute, on the average.
type Sample struct {
	Workspace WorkspaceID `json:"-"`
	At        time.Time   `json:"at"`  // when the minute began
	CPU       float64     `json:"cpu"` // cores
	Memory    Bytes       `json:"memory"`

	GPUs      int     `json:"gpus,omitempty"`       // that were lent to it and read
	GPU       float64 `json:"gpu,omitempty"`        // of these computed, summed up: 1.5 of 2; negative where one does not tell, as a slice
	GPUMemory Bytes   `json:"gpu_memory,omitempty"` // of these in use, summed up
}

// SamplesFor is how long samples are kept.
const SamplesFor = 48 * time.Hour
