package outputs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/masu-lab/masu/internal/notebook"
)

// FuzzReceive: whatever comes over the socket is a message, or an error, in bounds.
func FuzzReceive(f *testing.F) {
	f.Add(signed("k", "stream", "1", "s", `{"name":"stdout","text":"x"}`))
	f.Add(frames("a", string(bytes.Repeat([]byte("b"), 300))))
	f.Add([]byte{flagCommand, 1, 'x', 0, 0})
	f.Add([]byte{flagLong, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bufio.NewReader(bytes.NewReader(text))
		for {
			parts, err := receive(r)
			if err != nil {
				return
			}
			total := 0
			for _, p := range parts {
				total += len(p)
			}
			if len(parts) > partsMost || total > len(text) {
				t.Fatalf("%d parts of %d bytes", len(parts), total)
			}
			_, _ = decode(parts, "")
		}
	})
}

// FuzzTake: whatever a kernel says, what is put into a notebook can be read again.
func FuzzTake(f *testing.F) {
	f.Add("stream", `{"name":"stdout","text":"a\rb\b"}`, "clear_output", `{"wait":true}`)
	f.Add("display_data", `{"data":{"text/plain":1},"transient":{"display_id":"d"}}`, "update_display_data", `{"data":null,"transient":{"display_id":"d"}}`)
	f.Add("error", `{"ename":"E","traceback":[]}`, "status", `{"execution_state":"idle"}`)
	f.Fuzz(func(t *testing.T, kind, content, kind2, content2 string) {
		b := newBook()
		now := time.Now()
		b.take(message{kind: "execute_input", parent: "1", session: "s", content: json.RawMessage(`{"code":"x","execution_count":1}`)}, now)
		b.take(message{kind: kind, parent: "1", content: json.RawMessage(content)}, now)
		b.take(message{kind: kind2, parent: "1", content: json.RawMessage(content2)}, now)
		nb := &notebook.Notebook{Cells: []*notebook.Cell{notebook.NewCode("x")}}
		if _, err := b.fill(nb, now.Add(-time.Minute), false, "ja"); err != nil {
			t.Skip() // it cannot be written, and is not
		}
		text, err := nb.Bytes()
		if err != nil || !json.Valid(text) {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
