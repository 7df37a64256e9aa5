package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
)

// scripted is an API server that answers lists in pages of three pods, and each watch with what the test says.
type scripted struct {
	*testing.T
	pods    []corev1.Pod
	watches []string // the events of each watch, which the server then ends

	mu    sync.Mutex
	asked []url.Values
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	if !strings.HasPrefix(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf") {
		s.Errorf("%s asks for %q", r.URL, r.Header.Get("Accept"))
	}
	s.asked = append(s.asked, q)
	w.Header().Set("Content-Type", "application/json")
	if q.Get("watch") != "" {
		if len(s.watches) == 0 {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, s.watches[0])
		s.watches = s.watches[1:]
		return
	}
	if q.Get("limit") == "" {
		s.Errorf("%s asks for all at once", r.URL)
	}
	from := 0
	fmt.Sscan(q.Get("continue"), &from)
	l := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	l.Items = s.pods[from:min(from+3, len(s.pods))]
	if from+3 < len(s.pods) {
		l.Continue = fmt.Sprint(from + 3)
	}
	if err := json.NewEncoder(w).Encode(l); err != nil {
		s.Error(err)
	}
}

func (s *scripted) open() *Runtime {
	server := httptest.NewServer(s)
	s.Cleanup(server.Close)
	file := filepath.Join(s.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	rt, err := New(s.Context(), Config{Kubeconfig: file, Namespace: "n", Lab: "lab", Agent: "x/agent", Registry: "x", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.Fatal(err)
	}
	s.asked = nil
	return rt
}

func event(kind, id, version string) string {
	return fmt.Sprintf(`{"type":%q,"object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"masu-%s","labels":{"masu.workspace":%q},"resourceVersion":%q}}}`, kind, id, id, version)
}

func pods(n int) (list []corev1.Pod) {
	for i := range n {
		id := fmt.Sprintf("box%d", i)
		list = append(list, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "masu-" + id, Labels: map[string]string{labelWorkspace: id}}})
	}
	return list
}

func TestPages(t *testing.T) {
	s := &scripted{T: t, pods: pods(8)}
	boxes, err := s.open().Boxes(t.Context())
	if err != nil || len(boxes) != 8 || len(s.asked) != 3 {
		t.Errorf("%d boxes by %d calls, %v", len(boxes), len(s.asked), err)
	}
}

// A watch that ends is no reason to read everything again, unless the API server has forgotten where it was.
func TestChangesGoOn(t *testing.T) {
	s := &scripted{T: t, pods: pods(1), watches: []string{
		event("MODIFIED", "a", "8") + event("BOOKMARK", "", "20"),
		event("DELETED", "b", "21"),
		`{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`,
		event("MODIFIED", "c", "9"),
	}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var told []masu.WorkspaceID
	for id, err := range s.open().Changes(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if told = append(told, id); id == "c" {
			stop()
		}
	}
	if want := []masu.WorkspaceID{"box0", "a", "b", "box0", "c"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	var from []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.asked {
		if q.Get("watch") != "" {
			from = append(from, q.Get("resourceVersion"))
		} else {
			from = append(from, "list")
		}
	}
	if want := []string{"list", "7", "20", "21", "list", "7"}; len(from) < 6 || !slices.Equal(from[:6], want) {
		t.Errorf("asked from %q, want %q", from, want)
	}
}
