package lab

import (
	"context"
	"errors"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

// startClock is how long a start takes, for those who watch over the lab.
type startClock struct {
	begun  time.Time
	waited time.Duration // for GPUs: that is counted by itself
	image  string
}

// countStart counts how a start ended. One that ended with the daemon has not: the next daemon goes on with it.
func (l *Lab) countStart(ctx context.Context, c startClock, err error) {
	if how := outcome(ctx, err); how != "" {
		l.cfg.Metrics.Starts.Observe(time.Since(c.begun)-c.waited, how, c.image)
	}
}

// reclaimed counts GPUs that were taken back.
func (l *Lab) reclaimed(why masu.EndReason) { l.cfg.Metrics.Reclaims.Add(string(why)) }

// turnedAway counts a sign-in that failed.
func (l *Lab) turnedAway(way string) { l.cfg.Metrics.SignIns.Add(way) }

// outcome tells how something ended for whoever asked for it; "" if it was the daemon that ended.
func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return metrics.OK
	case errors.Is(context.Cause(ctx), errStopped):
		return metrics.Stopped
	case ctx.Err() != nil:
		return ""
	}
	return metrics.Failed
}
