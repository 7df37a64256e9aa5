package masu

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// GPUID is a device's own identity ("GPU-5f3c…", "MIG-…", "nvidia.com/gpu=0"), never its index.
type GPUID string

// CDI tells whether it is a name of the Container Device Interface, "vendor/class=name".
func (id GPUID) CDI() bool { return strings.Contains(string(id), "/") }

// GPU is a card, or a MIG slice of one; both can be lent.
type GPU struct {
	ID         GPUID  `json:"id"`
	Parent     GPUID  `json:"parent,omitempty"` // the card, for a slice
	Index      int    `json:"index"`
	Model      string `json:"model"`
	Memory     Bytes  `json:"memory"`               // 0: not known
	Capability string `json:"capability,omitempty"` // compute capability, "8.6"
	Node       string `json:"node,omitempty"`
	Fault      Fault  `json:"fault,omitempty"` // it is not lent anew; "" if it is well, as far as is known
}

// Card is the card that it is, or is a slice of.
func (g GPU) Card() GPUID { return cmp.Or(g.Parent, g.ID) }

// Fault says what is wrong with a card: one of the following, or "xid 79", an
// error that the driver wrote to the kernel's log.
type Fault string

const (
	FaultReset   Fault = "reset"   // the driver says that it must be reset
	FaultPending Fault = "pending" // broken memory is set aside at the next reset
	FaultWorn    Fault = "worn"    // there is no spare memory left for what has broken
)

// Xid gives the number of an error of the kernel's log.
func (f Fault) Xid() (number string, ok bool) { return strings.CutPrefix(string(f), "xid ") }

// Want is what a workspace asks for. The zero Want asks for no GPU.
type Want struct {
	Count  int    `json:"count,omitempty"`
	Memory Bytes  `json:"memory,omitempty"` // at least so much on each
	Model  string `json:"model,omitempty"`  // "A100": a case-insensitive part of GPU.Model
	Share  Bytes  `json:"share,omitempty"`  // part of one card, by promise
	All    bool   `json:"all,omitempty"`    // every GPU of the host
}

// None tells whether no GPU is asked for.
func (w Want) None() bool { return w.Count == 0 && w.Share == 0 && !w.All }

// Inventory knows the GPUs of this host. A host without a driver has none, which is no error.
type Inventory interface {
	GPUs(ctx context.Context) ([]GPU, error)
	Driver(ctx context.Context) (string, error) // "" if there is none
}

// Meter is an Inventory that also reads how its GPUs do.
type Meter interface {
	// Readings gives the last reading of each card, and of each slice: its memory
	// and processes, for how busy it is no driver tells. One that was not read
	// lately is left out: nobody knows how it does.
	Readings(ctx context.Context) ([]Reading, error)
}

// Reading is how a card, or a slice of one, does. A negative number is one that the card does not tell.
type Reading struct {
	GPU         GPUID        `json:"gpu"`
	At          time.Time    `json:"at"`
	Busy        float64      `json:"busy"`        // part of the last second in which it computed, 0 to 1
	Memory      Bytes        `json:"memory"`      // in use
	Temperature float64      `json:"temperature"` // degrees Celsius
	Power       float64      `json:"power"`       // watts
	Faults      int          `json:"faults"`      // memory errors that were not corrected since the driver was loaded
	Processes   []GPUProcess `json:"processes,omitempty"`
}

// GPUProcess is a process of the host that computes on a card.
type GPUProcess struct {
	PID    int     `json:"pid"`
	Name   string  `json:"name"`
	Memory Bytes   `json:"memory"`
	Busy   float64 `json:"busy,omitempty"` // part of a moment in which the card computed for it; 0 also where nobody tells
}

// Process is who runs a process of the host, and in which container.
type Process struct {
	UID       int
	Login     string
	Command   string // without its arguments, which may be secret
	Container string // ID; "" for none
	Kernel    string // ID of the kernel of Jupyter's that it is, or that began it; "" for none
}
