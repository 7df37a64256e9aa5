package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
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
	case nodeSilent.MatchString(err.Error()):
		return masu.E(masu.Unreachable, "node_silent").Because(err)
	case apierrors.IsUnauthorized(err):
		return masu.E(masu.Denied, "cluster_denied", r.host).Because(err)
	case apierrors.IsForbidden(err):
		if q := quota.FindStringSubmatch(reason(err)); q != nil {
			return masu.E(masu.Full, "cluster_quota", q[1], amounts(q[2]), amounts(q[3]), amounts(q[4])).Because(err)
		}
		return masu.E(masu.Denied, "cluster_refuses", reason(err)).Because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), apierrors.IsServiceUnavailable(err),
		apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err):
		return masu.E(masu.Unreachable, "cluster_unreachable", r.host).Because(err)
	}
	return err
}

// nodeSilent is how the API server says that it does not reach a node's kubelet.
var nodeSilent = regexp.MustCompile(`error dialing backend|error sending request: (Get|Post) "https://\S+": `)

// quota is how the API server refuses what is more than a namespace may have.
var quota = regexp.MustCompile(`exceeded quota: ([^,]+), requested: (\S+), used: (\S+), limited: (\S+)$`)

// amounts turns "limits.memory=8Gi,pods=1" into "memory 8Gi, pods 1".
func amounts(list string) string {
	var out []string
	for each := range strings.SplitSeq(list, ",") {
		what, n, _ := strings.Cut(each, "=")
		what = strings.TrimPrefix(strings.TrimPrefix(what, "requests."), "limits.")
		if said := what + " " + n; !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return strings.Join(out, ", ")
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
