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
}

// BoardGPU is a GPU, and who holds it.
type BoardGPU struct {
	GPU
	Holder Username  `json:"holder,omitempty"` // "" is free
	Since  time.Time `json:"since,omitzero"`
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

// Sample is what a workspace's box used in one minute, on the average.
type Sample struct {
	Workspace WorkspaceID `json:"-"`
	At        time.Time   `json:"at"`  // when the minute began
	CPU       float64     `json:"cpu"` // cores
	Memory    Bytes       `json:"memory"`
}

// SamplesFor is how long samples are kept.
const SamplesFor = 48 * time.Hour
