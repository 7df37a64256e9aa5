package kube

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/masu-lab/masu"
)

// How a lease goes. Whoever holds one and cannot renew it gives it up well
// before another one may take it, and has LeaseLeft to end.
const (
	leaseFor   = 20 * time.Second
	leaseRenew = 5 * time.Second
	leaseRetry = 2 * time.Second
	leaseGive  = 12 * time.Second

	LeaseLeft = leaseFor - leaseGive
)

// Lease is a lease of the cluster, by which one of several masu serves the lab.
type Lease struct {
	coordination    rest.Interface
	host            string // of the API server, for people
	namespace, name string
	holder          string
	log             *slog.Logger

	seen    coordinationv1.LeaseSpec // as another one has left it
	since   time.Time                // when it was first seen so: clocks of other machines are not believed
	renewed time.Time                // when this one last began to renew it with success
}

// NewLease reaches the cluster of a Config. at is NAMESPACE/NAME, and holder
// what no other masu is called.
func NewLease(cfg Config, at, holder string) (*Lease, error) {
	namespace, name, ok := strings.Cut(at, "/")
	if !ok || namespace == "" || name == "" || holder == "" {
		return nil, fmt.Errorf("kube: %q is no lease of %q's", at, holder)
	}
	c, err := cfg.reach()
	if err != nil {
		return nil, err
	}
	return newLease(c, namespace, name, holder, cfg.Log)
}

func newLease(c *rest.Config, namespace, name, holder string, log *slog.Logger) (*Lease, error) {
	client, err := clientFor(c, "/apis", coordinationv1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	return &Lease{coordination: client, host: c.Host, namespace: namespace, name: name, holder: holder, log: log}, nil
}

// Acquire waits until this masu holds the lease. A cluster that does not answer
// is waited for; one that refuses masu is not: Denied "cluster_refuses" or "cluster_denied".
func (l *Lease) Acquire(ctx context.Context) error {
	tick := time.NewTicker(leaseRetry)
	defer tick.Stop()
	for {
		held, err := l.try(ctx)
		switch {
		case held:
			return nil
		case masu.KindOf(err) == masu.Denied:
			return err
		case err != nil:
			l.log.Warn("lease", "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Hold renews the lease until ctx ends. It fails with Conflict "cluster_lease_lost" when
// another one has it, or could have it soon.
func (l *Lease) Hold(ctx context.Context) error {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		lost := time.NewTimer(time.Until(l.renewed.Add(leaseGive)))
		select {
		case <-ctx.Done():
			lost.Stop()
			return nil
		case <-lost.C:
			return masu.E(masu.Conflict, "cluster_lease_lost", l.namespace+"/"+l.name)
		case <-tick.C:
			lost.Stop()
		}
		patient, cancel := context.WithDeadline(ctx, l.renewed.Add(leaseGive))
		held, err := l.try(patient)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			l.log.Warn("lease", "error", err)
		case !held:
			return masu.E(masu.Conflict, "cluster_lease_lost", l.namespace+"/"+l.name)
		}
	}
}

// Release gives the lease back, so that another one need not wait until it has run out.
func (l *Lease) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	now, err := l.get(ctx)
	if err != nil || holderOf(now) != l.holder {
		return err
	}
	nobody := ""
	now.Spec.HolderIdentity = &nobody
	return l.failed(l.coordination.Put().Namespace(l.namespace).Resource("leases").Name(l.name).Body(now).Do(ctx).Error())
}

// try takes or renews the lease if it is nobody's, this one's, or has run out. The
// API server takes only one of several changes to what all have read.
func (l *Lease) try(ctx context.Context) (held bool, err error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	now, err := l.get(ctx)
	if err != nil {
		return false, err
	}
	if now == nil {
		now = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: l.name, Labels: managed()}}
		l.mark(now)
		err = l.coordination.Post().Namespace(l.namespace).Resource("leases").Body(now).Do(ctx).Error()
	} else {
		if holder := holderOf(now); holder != l.holder && holder != "" && !l.ranOut(now) {
			return false, nil
		}
		l.mark(now)
		err = l.coordination.Put().Namespace(l.namespace).Resource("leases").Name(l.name).Body(now).Do(ctx).Error()
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return false, nil // somebody was quicker
	}
	if err != nil {
		return false, l.failed(err)
	}
	l.renewed = begun
	return true, nil
}

// get reads the lease; nil if there is none.
func (l *Lease) get(ctx context.Context) (*coordinationv1.Lease, error) {
	var now coordinationv1.Lease
	err := l.coordination.Get().Namespace(l.namespace).Resource("leases").Name(l.name).Do(ctx).Into(&now)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return &now, l.failed(err)
}

func (l *Lease) failed(err error) error { return (&Runtime{host: l.host}).failed("lease", err) }

func holderOf(l *coordinationv1.Lease) string {
	if l == nil || l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// ranOut tells whether another one's lease has stayed as it is for longer than it may.
func (l *Lease) ranOut(now *coordinationv1.Lease) bool {
	if l.since.IsZero() || holderOf(now) != holderOf(&coordinationv1.Lease{Spec: l.seen}) || !now.Spec.RenewTime.Equal(l.seen.RenewTime) {
		l.seen, l.since = now.Spec, time.Now()
	}
	return time.Since(l.since) >= leaseFor
}

// mark writes this masu into a lease.
func (l *Lease) mark(to *coordinationv1.Lease) {
	now, seconds, changes := metav1.NowMicro(), int32(leaseFor/time.Second), int32(0)
	if to.Spec.LeaseTransitions != nil {
		changes = *to.Spec.LeaseTransitions
	}
	if holderOf(to) != l.holder {
		to.Spec.AcquireTime = &now
		changes++
	}
	to.Spec.HolderIdentity, to.Spec.RenewTime, to.Spec.LeaseDurationSeconds, to.Spec.LeaseTransitions = &l.holder, &now, &seconds, &changes
}
