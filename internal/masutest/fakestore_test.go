package masutest

import (
	"testing"

	"github.com/masu-lab/masu"
)

func TestFakeStore(t *testing.T) {
	Store(t, func(*testing.T) masu.Store { return NewStore() })
}
