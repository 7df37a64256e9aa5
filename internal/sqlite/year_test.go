package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestAYearOfGPUsIsSmall: minutes are kept for a while, hours for ever, and the
// account is what was written down. From what a row takes on the disk it
// follows what a year of eight GPUs does, with 60 days of minutes in it.
func TestAYearOfGPUsIsSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "masu.db")
	s := openAt(t, path)
	const gpus, days, minuteDays, most = 1, 8, 3, 200 << 20
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 2))
	busy := time.Duration(0)
	for day := range days {
		err := s.Update(t.Context(), func(tx masu.Tx) error {
			at := begin.AddDate(0, 0, day)
			var list []masu.GPUUse
			for g := range gpus {
				l := masu.Lease{ID: masu.LeaseID(fmt.Sprintf("%012d", day*gpus+g)), Workspace: "aaaabbbbcccc", Holder: "yamada", Name: "finetune", Want: masu.Want{Count: 1},
					GPUs: []masu.GPUID{masu.GPUID(fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", g))}, AskedAt: at, From: at, Until: at.Add(24 * time.Hour), EndedAt: at.Add(24*time.Hour - time.Second), Why: masu.EndHolder}
				if err := tx.PutLease(l); err != nil {
					return err
				}
				for minute := range 24 * 60 {
					u := masu.GPUUse{Lease: l.ID, At: at.Add(time.Duration(minute) * time.Minute), Busy: time.Duration(r.IntN(60000)) * time.Millisecond, Energy: float64(3000 + r.IntN(15000))}
					busy += u.Busy
					list = append(list, u)
				}
			}
			return tx.PutGPUUse(list, at.AddDate(0, 0, -minuteDays))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := s.View(t.Context(), func(tx masu.Tx) error {
		list, err := tx.GPUUse(begin, begin.AddDate(0, 0, days))
		sum := time.Duration(0)
		for _, u := range list {
			sum += u.Busy
		}
		if sum != busy {
			t.Errorf("%v of %v", sum, busy)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(gpus * ((minuteDays+1)*24*60 + (days-minuteDays-1)*24))
	year := 8 * (int64(masu.GPUMinutesFor/time.Minute) + 365*24) * info.Size() / rows
	t.Logf("%d rows take %d KiB; a year of eight GPUs %d MiB", rows, info.Size()>>10, year>>20)
	if year > most {
		t.Errorf("a year of eight GPUs would take %d bytes, of %d", year, most)
	}
}
