package web

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestStreamWaitsForNobody: a browser that reads nothing keeps no stream.
func TestStreamWaitsForNobody(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	out := stream{patient{here, time.Millisecond}, func() error { return nil }}
	if err := out.send(event{"list", nil}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
