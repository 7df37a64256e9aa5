package masutest

import (
	"testing"

	"github.com/masu-lab/masu"
)

func TestFakeService(t *testing.T) {
	lab := NewService()
	defer lab.Close()
	Service(t, func(_ *testing.T, a masu.Actor) masu.Service { return lab.As(a) })
}
