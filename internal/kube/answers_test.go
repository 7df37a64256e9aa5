package kube

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

// answers are what an API server would say of many pods and nodes, in the compact form and in pages.
type answers struct{ pods, nodes [][]byte }

// BenchmarkAnswers measures what the driver itself takes for a look at a large
// cluster, without an API server's own time: it needs none (go test -bench Answers).
func BenchmarkAnswers(b *testing.B) {
	for _, size := range []struct{ nodes, pods int }{{100, 1000}, {1000, 10000}} {
		b.Run(fmt.Sprintf("pods=%d", size.pods), func(b *testing.B) {
			rt := openAnswers(b, size.nodes, size.pods)
			calls := &counted{}
			calls.count(b, rt)
			b.Run("Boxes", func(b *testing.B) {
				calls.measure(b, func() {
					if boxes, err := rt.Boxes(b.Context()); err != nil || len(boxes) != size.pods {
						b.Fatalf("%d boxes, %v", len(boxes), err)
					}
				})
				b.ReportMetric(held(b, rt)/float64(size.pods), "held-B/pod")
			})
			b.Run("GPUs", func(b *testing.B) {
				calls.measure(b, func() {
					if gpus, err := rt.GPUs(b.Context()); err != nil || len(gpus) != 4*size.nodes {
						b.Fatalf("%d GPUs, %v", len(gpus), err)
					}
				})
			})
		})
	}
}

// openAnswers gives a driver whose API server has so many nodes and pods.
func openAnswers(b *testing.B, nodes, pods int) *Runtime {
	b.Helper()
	a := &answers{}
	server := httptest.NewServer(a)
	b.Cleanup(server.Close)
	file := filepath.Join(b.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	c := Config{Kubeconfig: file, Namespace: scaleNamespace, Lab: "scale", Agent: "x/agent", Registry: "x", Log: slog.New(slog.DiscardHandler)}
	at, err := c.reach()
	if err != nil {
		b.Fatal(err)
	}
	rt, err := newRuntime(c, at)
	if err != nil {
		b.Fatal(err)
	}
	list := corev1.NodeList{}
	for i := range nodes {
		list.Items = append(list.Items, *node(i))
	}
	a.nodes = [][]byte{compactly(b, &list)}
	for from := 0; from < pods; from += podPage {
		l := corev1.PodList{}
		for i := from; i < from+podPage; i++ {
			p, err := scalePod(rt, i, nodes)
			if err != nil {
				b.Fatal(err)
			}
			l.Items = append(l.Items, *p)
		}
		if from+podPage < pods {
			l.Continue = fmt.Sprint(from/podPage + 1)
		}
		a.pods = append(a.pods, compactly(b, &l))
	}
	return rt
}

func compactly(b *testing.B, o runtime.Object) []byte {
	b.Helper()
	var text bytes.Buffer
	kinds, _, err := scheme.ObjectKinds(o)
	if err != nil {
		b.Fatal(err)
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[0])
	if err := protobuf.NewSerializer(scheme, scheme).Encode(o, &text); err != nil {
		b.Fatal(err)
	}
	return text.Bytes()
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pages := a.pods
	if strings.HasSuffix(r.URL.Path, "/nodes") {
		pages = a.nodes
	}
	page := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &page) // none is the first
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	_, _ = w.Write(pages[page])
}
