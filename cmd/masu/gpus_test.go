package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/masu-lab/masu"
)

// boards answers with one board after the other, and ends who asks for more.
type boards struct {
	masu.Service
	list []masu.Board
	end  context.CancelFunc
}

func (b *boards) Board(context.Context) (masu.Board, error) {
	next := b.list[0]
	if b.list = b.list[1:]; len(b.list) == 0 {
		b.end()
	}
	return next, nil
}

// TestGPUsWatched: the live board draws how busy each card was lately, a dot where nobody
// knew, and says who holds it and whose box has lost it.
func TestGPUsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		s := &boards{end: end}
		card := func(busy float64) masu.BoardGPU {
			return masu.BoardGPU{GPU: masu.GPU{ID: "g", Model: "NVIDIA A100"}, Reading: &masu.Reading{Busy: busy, Memory: masu.GiB, Temperature: -1, Power: -1},
				Holds: []masu.Hold{{Member: "alice"}, {Member: "bob", Workspace: "thesis", Lost: true}}}
		}
		for _, busy := range []float64{0, 0.5, -1, 1} {
			s.list = append(s.list, masu.Board{GPUs: []masu.BoardGPU{card(busy)}})
		}
		var out bytes.Buffer
		a := &app{out: &out, lang: masu.English, getenv: func(string) string { return "" }}
		if err := a.watchGPUs(ctx, s); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if last := lines[len(lines)-1]; !strings.HasSuffix(strings.TrimSpace(last), "▁▅·█") || !strings.Contains(last, "alice, bob/thesis (its box has lost the GPU)") || !strings.Contains(last, "100%") {
			t.Errorf("%q", lines)
		}
	})
}
