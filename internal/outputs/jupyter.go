package outputs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// session is what Jupyter calls a document and its kernel.
type session struct {
	Path   string
	Kernel struct {
		ID          string
		Connections int // of pages
	}
}

const (
	askWithin = 2 * time.Second
	askMost   = 4 << 20
)

// sessions asks Jupyter, so that the question does not count as activity.
func (k *keeper) sessions(ctx context.Context) (list []session, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.cfg.Jupyter+"/api/sessions?no_track_activity=1", nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the variables of the box may name one
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jupyter's sessions: %s", resp.Status)
	}
	return list, json.NewDecoder(io.LimitReader(resp.Body, askMost)).Decode(&list)
}

// locate finds out, once, which notebook a kernel belongs to: when the kernel
// has gone, Jupyter does not know any more.
func (k *keeper) locate(ctx context.Context, id string, b *book) {
	b.mu.Lock()
	known := b.located
	b.located = true
	b.mu.Unlock()
	if known {
		return
	}
	k.wg.Go(func() {
		list, err := k.sessions(ctx)
		if err != nil {
			return
		}
		for _, s := range list {
			if s.Kernel.ID == id {
				b.mu.Lock()
				b.path = s.Path
				b.mu.Unlock()
			}
		}
	})
}

// complain is for the box's log.
func complain(err error) { fmt.Fprintln(os.Stderr, "masu outputs:", err) }
