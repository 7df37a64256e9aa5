package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/masu-lab/masu"
)

// leases is an API server that has one lease and knows resource versions.
type leases struct {
	mu      sync.Mutex
	held    *coordinationv1.Lease
	version int
	changes int
}

func (s *leases) answer(code int, v any) *http.Response {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b))}
}

func (s *leases) serve(r *http.Request) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(code int, reason string) *http.Response {
		return s.answer(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
	}
	if r.Method == http.MethodGet {
		if s.held == nil {
			return refuse(http.StatusNotFound, "NotFound")
		}
		return s.answer(http.StatusOK, s.held)
	}
	var wish coordinationv1.Lease
	if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
		panic(err)
	}
	switch {
	case r.Method == http.MethodPost && s.held != nil:
		return refuse(http.StatusConflict, "AlreadyExists")
	case r.Method == http.MethodPut && wish.ResourceVersion != strconv.Itoa(s.version):
		return refuse(http.StatusConflict, "Conflict")
	}
	s.version++
	s.changes++
	wish.ResourceVersion, wish.APIVersion, wish.Kind = strconv.Itoa(s.version), "coordination.k8s.io/v1", "Lease"
	s.held = &wish
	return s.answer(http.StatusOK, s.held)
}

// way is how one masu reaches the API server; it can be cut.
type way struct {
	to  *leases
	mu  sync.Mutex
	cut error
}

func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut != nil {
		return nil, w.cut
	}
	return w.to.serve(r), nil
}

func (w *way) cutOff(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.cut = err }

func testLease(t *testing.T, to *leases, holder string) (*Lease, *way) {
	t.Helper()
	w := &way{to: to}
	l, err := newLease(&rest.Config{Host: "http://api.test", Transport: w}, "lab-system", "masu", holder, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return l, w
}

// TestLeaseReleased: the second waits for as long as the first renews, and goes on as soon as the first gives it back.
func TestLeaseReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server leases
		first, _ := testLease(t, &server, "first")
		second, _ := testLease(t, &server, "second")
		if err := first.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		kept := make(chan error)
		go func() { kept <- first.Hold(ctx) }()
		took := make(chan error, 1)
		go func() { took <- second.Acquire(t.Context()) }()
		time.Sleep(time.Hour)
		select {
		case err := <-took:
			t.Fatalf("the second has it too: %v", err)
		default:
		}
		stop()
		if err := <-kept; err != nil {
			t.Fatalf("the first lost it: %v", err)
		}
		begin := time.Now()
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-took; err != nil || time.Since(begin) > leaseRetry {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if h := holderOf(server.held); h != "second" || *server.held.Spec.LeaseTransitions != 2 {
			t.Errorf("%s holds it, after %d changes of hands", h, *server.held.Spec.LeaseTransitions)
		}
	})
}

// TestLeaseCut: one that no longer reaches the API server gives up, and has LeaseLeft before another one can have the lease.
func TestLeaseCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server leases
		first, cut := testLease(t, &server, "first")
		second, _ := testLease(t, &server, "second")
		if err := first.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := make(chan time.Time, 1)
		go func() {
			if err := second.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
			took <- time.Now()
		}()
		lost := make(chan time.Time, 1)
		go func() {
			if err := first.Hold(t.Context()); masu.CodeOf(err) != "cluster_lease_lost" {
				t.Errorf("the first holds it without the API server: %v", err)
			}
			lost <- time.Now()
		}()
		time.Sleep(7 * time.Minute)
		cut.cutOff(errors.New("no route to host"))
		gave, has := <-lost, <-took
		if has.Sub(gave) < LeaseLeft {
			t.Errorf("the second has it %s after the first gave up, which may need %s", has.Sub(gave), LeaseLeft)
		}
		cut.cutOff(nil)
		if held, err := first.try(t.Context()); held || err != nil {
			t.Errorf("the first has it back: %v, %v", held, err)
		}
	})
}

// TestLeaseTaken: one that was asleep learns from the lease itself that it is another one's.
func TestLeaseTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server leases
		first, _ := testLease(t, &server, "first")
		second, _ := testLease(t, &server, "second")
		if err := first.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.Acquire(t.Context()); err != nil { // the first does not renew
			t.Fatal(err)
		}
		first.renewed = time.Now() // as if it had been asleep since just now
		if err := first.Hold(t.Context()); masu.CodeOf(err) != "cluster_lease_lost" {
			t.Errorf("%v", err)
		}
	})
}

// TestLeaseTogether: of many that begin at once exactly one gets it.
func TestLeaseTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server leases
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			l, _ := testLease(t, &server, strconv.Itoa(i))
			wg.Go(func() {
				if held, err := l.try(t.Context()); err != nil {
					t.Error(err)
				} else if held {
					mu.Lock()
					defer mu.Unlock()
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 || server.changes != 1 {
			t.Errorf("%d have it, after %d changes", won, server.changes)
		}
	})
}
