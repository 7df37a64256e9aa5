package kube

import (
	"log/slog"

	"k8s.io/klog/v2"
)

// The cluster's client library speaks to the standard error by itself, and of
// connections that masu has ended as of errors. What matters of it reaches masu
// as the error of a call, so the rest is not kept. It has one log for the
// process, which may be set only while nobody uses it.
func init() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) }
