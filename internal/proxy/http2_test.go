package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestHTTP2: a browser that speaks HTTP/2 gets what one that speaks HTTP/1.1
// gets, and the app sees one clean request after the other on kept connections.
func TestHTTP2(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("App-Saw", r.Method+" "+r.URL.Path+" "+strconv.FormatInt(r.ContentLength, 10)+" "+r.RemoteAddr)
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000)+string(b))
	})
	r := newRig(t, app)
	front := httptest.NewUnstartedServer(r.Config.Handler)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	r.origin = front.URL
	seen := map[string]bool{} // the app's side of each connection
	ask := func(method, path, body string, reader io.Reader, length string) {
		t.Helper()
		req, err := http.NewRequest(method, front.URL+path, reader)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", front.URL)
		resp, err := front.Client().Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		saw, from, _ := strings.Cut(resp.Header.Get("App-Saw"), " 127.0.0.1:")
		seen[from] = true
		if resp.ProtoMajor != 2 || saw != method+" "+path+" "+length || len(b) != 100_000+len(body) || !strings.HasSuffix(string(b), body) {
			t.Errorf("%s %s over %s: the app saw %q, %d bytes came back", method, path, resp.Proto, saw, len(b))
		}
	}
	for range 3 {
		ask("GET", "/lab", "", nil, "0")
		ask("DELETE", "/api/kernels/1", "", nil, "0")
		ask("POST", "/api/kernels", "{}", strings.NewReader("{}"), "2")
		ask("PUT", "/stream", "as it comes", io.MultiReader(strings.NewReader("as it "), strings.NewReader("comes")), "-1")
	}
	if len(seen) != 1 {
		t.Errorf("the app was reached by %d connections", len(seen))
	}
}
