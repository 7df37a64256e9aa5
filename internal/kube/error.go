package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/masu-lab/masu"
)

// failed turns what the API server said into an error of masu's. What names
// the call, for the log.
func (r *Runtime) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*masu.Error](err); ok {
		return err
	}
	err = fmt.Errorf("kube: %s: %w", what, err)
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(err.Error(), "error dialing backend"): // so the API server says that it does not reach the node
		return masu.E(masu.Unreachable, "node_silent").Because(err)
	case apierrors.IsUnauthorized(err):
		return masu.E(masu.Denied, "cluster_denied", r.host).Because(err)
	case apierrors.IsForbidden(err):
		return masu.E(masu.Denied, "cluster_refuses", reason(err)).Because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), apierrors.IsServiceUnavailable(err),
		apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err):
		return masu.E(masu.Unreachable, "cluster_unreachable", r.host).Because(err)
	}
	return err
}

// reason is the API server's own sentence: a quota, a rule of admission or of
// RBAC that the admin of the cluster has made, and knows by these words.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}
