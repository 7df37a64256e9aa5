package masutest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/masu-lab/masu"
)

// fakeApp is how the fake's app is said to stand.
func fakeApp(w masu.AppWish) masu.App {
	port, known := masu.AppPort(w.Name)
	if !known {
		port = w.Port
	}
	return masu.App{Name: w.Name, Port: port, Ready: !w.OnVisit, Rests: w.OnVisit, Own: w.Command != ""}
}

// fakeAgent answers as an agent all of whose apps are ready, but for those that wait for a visit.
type fakeAgent struct {
	mu      sync.Mutex
	apps    []masu.App
	changed chan struct{}
}

func newFakeAgent(spec masu.AgentSpec) http.Handler {
	a := &fakeAgent{apps: []masu.App{}, changed: make(chan struct{})}
	for _, w := range spec.Apps {
		a.apps = append(a.apps, fakeApp(w))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		status, _ := a.now()
		_ = json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("GET /v1/watch", a.watch)
	mux.HandleFunc("PUT /v1/apps/{name}", func(w http.ResponseWriter, r *http.Request) {
		var wish masu.AppWish
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil || wish.Name != r.PathValue("name") {
			http.Error(w, "not an app", http.StatusBadRequest)
			return
		}
		a.change(wish.Name, func(int) { a.apps = append(a.apps, fakeApp(wish)) })
	})
	mux.HandleFunc("DELETE /v1/apps/{name}", func(w http.ResponseWriter, r *http.Request) { a.change(r.PathValue("name"), func(int) {}) })
	for verb, rests := range map[string]bool{"start": false, "stop": true} {
		mux.HandleFunc("POST /v1/apps/{name}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			a.mu.Lock()
			i := slices.IndexFunc(a.apps, func(x masu.App) bool { return x.Name == r.PathValue("name") })
			var x masu.App
			if i >= 0 {
				x = a.apps[i]
			}
			a.mu.Unlock()
			if i < 0 {
				http.NotFound(w, r)
				return
			}
			x.Ready, x.Rests = !rests, rests
			a.change(x.Name, func(i int) { a.apps = slices.Insert(a.apps, i, x) })
		})
	}
	mux.HandleFunc("GET /v1/apps/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s has begun\n", r.PathValue("name"))
	})
	return mux
}

// change takes an app out, has put bring something else to its place, and tells who waits.
func (a *fakeAgent) change(name string, put func(at int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.apps, func(x masu.App) bool { return x.Name == name })
	a.apps = slices.Clone(a.apps)
	if at < 0 {
		at = len(a.apps)
	} else {
		a.apps = slices.Delete(a.apps, at, at+1)
	}
	put(at)
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *fakeAgent) now() (masu.AgentStatus, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return masu.AgentStatus{Ready: true, Apps: a.apps}, a.changed
}

func (a *fakeAgent) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	for {
		status, changed := a.now()
		if json.NewEncoder(w).Encode(status) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
