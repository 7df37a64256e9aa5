package sqlite

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestManyBeginAtOnce: as many Views as may run at once, each of which asks
// something for the first time, do not wait for each other's connections.
func TestManyBeginAtOnce(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "masu.db"))
	var inside, all sync.WaitGroup
	inside.Add(readers)
	for range readers {
		all.Go(func() {
			err := s.View(t.Context(), func(tx masu.Tx) error {
				inside.Done()
				inside.Wait()
				_, err := tx.SSHKeys("alice")
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("they wait for each other")
	}
}
