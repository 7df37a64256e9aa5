package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/masu-lab/masu"
)

// oneLease is an API server that knows one lease.
func oneLease(t *testing.T) (kubeconfig string) {
	t.Helper()
	var mu sync.Mutex
	var lease map[string]any
	version := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		refuse := func(code int, reason string) {
			w.WriteHeader(code)
			json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
		}
		if r.Method == http.MethodGet {
			if lease == nil {
				refuse(http.StatusNotFound, "NotFound")
				return
			}
			json.NewEncoder(w).Encode(lease)
			return
		}
		var wish map[string]any
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
			t.Error(err)
		}
		about := wish["metadata"].(map[string]any)
		if was, _ := about["resourceVersion"].(string); lease != nil && was != strconv.Itoa(version) {
			refuse(http.StatusConflict, "Conflict")
			return
		}
		version++
		about["resourceVersion"], wish["kind"], wish["apiVersion"] = strconv.Itoa(version), "Lease", "coordination.k8s.io/v1"
		lease = wish
		json.NewEncoder(w).Encode(lease)
	}))
	t.Cleanup(s.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"" + s.URL + "\"}}]\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// TestLead: the second masu waits, alive and not ready, and serves when the first has ended.
func TestLead(t *testing.T) {
	o := serveOptions{lease: "masu-system/masu", hostName: "pod", kube: kubeConfig{Registry: "registry.example/masu", Kubeconfig: oneLease(t)}}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	a := &app{}
	start := func() (at string, serves chan struct{}, stop func() error) {
		t.Helper()
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o := o
		o.listen = free.Addr().String()
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		serves, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- a.lead(ctx, o, log, func(ctx context.Context) error {
				close(serves)
				<-ctx.Done()
				return nil
			})
		}()
		return o.listen, serves, func() error { cancel(); return <-ended }
	}
	_, first, stopFirst := start()
	<-first
	at, second, stopSecond := start()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/readyz": "503 standby\n"} {
		var got string
		for got == "" { // until it listens
			res, err := client.Get("http://" + at + path)
			if err != nil {
				continue
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			got = strconv.Itoa(res.StatusCode) + " " + string(body)
		}
		if got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	select {
	case <-second:
		t.Error("two serve one lab")
	default:
	}
	if err := stopFirst(); err != nil {
		t.Error(err)
	}
	<-second
	if l, err := net.Listen("tcp", at); err != nil {
		t.Errorf("the one that waited still holds the port: %v", err)
	} else if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := stopSecond(); err != nil {
		t.Error(err)
	}
	if err := (&serveOptions{lease: "a/b"}).checkLease(); masu.CodeOf(err) != "lease_needs_cluster" {
		t.Errorf("a lease without a cluster: %v", err)
	}
}
