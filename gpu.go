package masu

import "context"

// GPUID is a device's own identity ("GPU-5f3c…", "MIG-…", "nvidia.com/gpu=0"), never its index.
type GPUID string

// GPU is a card, or a MIG slice of one; both can be lent.
type GPU struct {
	ID         GPUID  `json:"id"`
	Parent     GPUID  `json:"parent,omitempty"` // the card, for a slice
	Index      int    `json:"index"`
	Model      string `json:"model"`
	Memory     Bytes  `json:"memory"`
	Capability string `json:"capability,omitempty"` // compute capability, "8.6"
	Node       string `json:"node,omitempty"`
}

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
