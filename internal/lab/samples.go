package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
)

const sampleEvery = time.Minute

// sample writes down what each running box uses.
func (l *Lab) sample(ctx context.Context) {
	all, err := l.everything(ctx)
	if err != nil {
		l.log.Error("sample", "error", err)
		return
	}
	at := time.Now().Truncate(sampleEvery).UTC()
	l.writeMeter(ctx, at)
	loads := l.loads(ctx, all)
	list := make([]masu.Sample, 0, len(loads))
	for id, load := range loads {
		if load.CPU >= atWork {
			l.stir(id)
		}
		list = append(list, masu.Sample{Workspace: id, At: at, CPU: load.CPU, Memory: load.Memory})
	}
	if len(list) == 0 || ctx.Err() != nil {
		return // a lab that sleeps writes nothing; what is old goes with the next one
	}
	if err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutSamples(list, at.Add(-masu.SamplesFor)) }); err != nil {
		l.log.Error("sample", "error", err)
	}
}

// Samples tells what a workspace used.
func (s *service) Samples(ctx context.Context, name string, since time.Time) (list []masu.Sample, err error) {
	w, err := s.visible(ctx, name)
	if err != nil {
		return nil, err
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Samples(w.ID, since); return err })
	return list, err
}
