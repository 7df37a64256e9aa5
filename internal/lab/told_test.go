package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestAgentsWord: who is root in a box can have its agent say anything. What no
// agent says is not believed, what never ends is not read, and what comes
// without a pause is not written down each time.
func TestAgentsWord(t *testing.T) {
	honest := masu.App{Name: "jupyter", Port: 8888, Ready: true}
	many := make([]masu.App, 30000)
	for i := range many {
		many[i] = masu.App{Name: fmt.Sprintf("p%d", 1024+i), Port: 1024 + i, Ready: true}
	}
	for name, apps := range map[string][]masu.App{
		"a name that is none": {{Name: "jupyter", Port: 8888}, {Name: "<script>", Port: 8889}},
		"no port":             {{Name: "jupyter", Port: 0}},
		"thousands of apps":   many,
	} {
		if err := plausible(&masu.AgentStatus{Apps: apps}); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	wordy := masu.AgentStatus{Apps: []masu.App{honest, honest, honest}}
	wordy.Apps[0].Error, wordy.Apps[1].Command, wordy.Apps[2].Error = strings.Repeat("x", wordyMost), strings.Repeat("y", wordyMost), "short"
	if err := plausible(&wordy); err != nil || wordy.Apps[0].Error == "" || wordy.Apps[1].Command != "" || wordy.Apps[2].Error != "" {
		t.Errorf("words without end: %v", err)
	}

	w := newWorld(t)
	var sent atomic.Int64
	told := make(chan struct{})
	var endless atomic.Bool
	w.runtime.Handle(masu.AgentPort, http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if endless.Load() {
			for block := `{"password_id":"`; ; block = strings.Repeat("x", 64<<10) {
				n, err := io.WriteString(to, block)
				if sent.Add(int64(n)); err != nil || sent.Load() > 256<<20 {
					return
				}
			}
		}
		for i := 0; r.Context().Err() == nil; i++ { // another one each time
			s := masu.AgentStatus{Ready: true, Apps: []masu.App{honest, {Name: fmt.Sprintf("p%d", 2000+i%1000), Port: 2000 + i%1000}}}
			if json.NewEncoder(to).Encode(s) != nil || http.NewResponseController(to).Flush() != nil {
				return
			}
			select {
			case told <- struct{}{}:
			case <-r.Context().Done():
				return
			}
		}
	}))
	l, stop := w.daemon()
	defer stop()
	alice := l.As(actor("alice"))
	if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "thesis"}); err != nil {
		t.Fatal(err)
	}
	x := settled(t, alice, "thesis")
	if x.Phase != masu.Running {
		t.Fatalf("%+v", x.Trouble)
	}
	const times = 20
	begun := time.Now()
	for range times {
		<-told
	}
	if took := time.Since(begun); took < times*tellPause/2 { // some are on their way
		t.Errorf("it was heard %d times within %v", times, took)
	}
	endless.Store(true)
	if err := l.listen(t.Context(), x.ID, func(masu.AgentStatus) bool { return true }); err == nil {
		t.Error("what never ends was heard")
	}
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d bytes of one status were read", n)
	}
}
