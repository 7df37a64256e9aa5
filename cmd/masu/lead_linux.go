package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kube"
)

// lead serves while this masu holds the cluster's lease. Until then it opens
// nothing of the state, which another one writes, and says that it is not ready.
func (a *app) lead(ctx context.Context, o serveOptions, log *slog.Logger, serve func(context.Context) error) error {
	c, err := o.kube.config()
	if err != nil {
		return err
	}
	c.Log = log
	lease, err := kube.NewLease(c, o.lease, o.hostName+"-"+rand.Text()[:8])
	if err != nil {
		return err
	}
	if err := o.standBy(ctx, lease, log); err != nil {
		return err
	}
	log.Info("this masu serves the lab", "lease", o.lease)
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx)) // to the very end of what serve does
	defer stop()
	var lost error
	var wg sync.WaitGroup
	wg.Go(func() {
		if lost = lease.Hold(renewing); lost != nil {
			log.Error("the lease is lost; another masu serves the lab soon", "error", lost)
			time.AfterFunc(kube.LeaseLeft, func() { os.Exit(exitFailed) }) // two on one state would undo each other's work
			lose(lost)
		}
	})
	err = serve(held)
	stop()
	wg.Wait()
	if lost != nil {
		return lost
	}
	return cmp.Or(err, lease.Release(context.WithoutCancel(ctx)))
}

// standBy answers those who watch over the daemon while it waits for the lease.
func (o *serveOptions) standBy(ctx context.Context, lease *kube.Lease, log *slog.Logger) error {
	door, err := listenPages(ctx, o.listen)
	if err != nil {
		return err
	}
	waiting, held := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- servePages(waiting, o.sealed(door), newHealth(nil), log) }()
	err = lease.Acquire(ctx)
	held()
	return cmp.Or(err, <-ended)
}

// checkLease refuses a lease without a cluster.
func (o *serveOptions) checkLease() error {
	if o.lease != "" && !o.kube.on() {
		return masu.E(masu.Invalid, "lease_needs_cluster", o.lease)
	}
	return nil
}
