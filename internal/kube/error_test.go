package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/masu-lab/masu"
)

// TestFailed: what an API server says becomes what people can do something about.
func TestFailed(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	forbidden := func(why string) error { return apierrors.NewForbidden(pods, "masu-a", errors.New(why)) }
	r := testRuntime()
	for _, c := range []struct {
		err  error
		kind masu.Kind
		code string
		args []string
	}{
		{forbidden("exceeded quota: lab, requested: limits.memory=8Gi,requests.memory=8Gi, used: limits.memory=60Gi,requests.memory=60Gi, limited: limits.memory=64Gi,requests.memory=64Gi"),
			masu.Full, "cluster_quota", []string{"lab", "memory 8Gi", "memory 60Gi", "memory 64Gi"}},
		{forbidden("exceeded quota: gpus, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=3, limited: requests.nvidia.com/gpu=4"),
			masu.Full, "cluster_quota", []string{"gpus", "nvidia.com/gpu 2", "nvidia.com/gpu 3", "nvidia.com/gpu 4"}},
		{forbidden("failed quota: lab: must specify limits.cpu for: box"), masu.Denied, "cluster_refuses",
			[]string{`pods "masu-a" is forbidden: failed quota: lab: must specify limits.cpu for: box`}},
		{apierrors.NewUnauthorized("no"), masu.Denied, "cluster_denied", []string{""}},
		{apierrors.NewInternalError(errors.New(`error sending request: Post "https://10.0.0.2:10250/exec/x": dial tcp: refused`)), masu.Unreachable, "node_silent", nil},
		{apierrors.NewGenericServerResponse(http.StatusBadGateway, "get", pods, "x", "error dialing backend: refused", 0, true), masu.Unreachable, "node_silent", nil},
		{fmt.Errorf("list: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), masu.Unreachable, "cluster_unreachable", []string{""}},
		{context.DeadlineExceeded, masu.Unreachable, "cluster_unreachable", []string{""}},
		{masu.E(masu.Conflict, "box_not_running", "x"), masu.Conflict, "box_not_running", []string{"x"}},
		{errors.New("anything else"), masu.Internal, "internal", nil},
	} {
		got := r.failed("test", c.err)
		e, _ := errors.AsType[*masu.Error](got)
		if masu.KindOf(got) != c.kind || masu.CodeOf(got) != c.code || e != nil && !slices.Equal(e.Args, c.args) {
			t.Errorf("%v became %v, want %s %q", c.err, got, c.code, c.args)
		}
	}
	if r.failed("test", nil) != nil {
		t.Error("no error became one")
	}
}
