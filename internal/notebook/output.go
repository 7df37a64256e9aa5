package notebook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Kinds of outputs.
const (
	Stream  = "stream"
	Result  = "execute_result"
	Display = "display_data"
	Failure = "error"
)

// Output is one output of a code cell.
type Output struct {
	Kind     string
	Name     string                     // of a stream: stdout, stderr
	Data     map[string]json.RawMessage // of a result or a display, by media type
	Metadata json.RawMessage            // of these
	Count    int                        // of a result
	Error    string                     // of a failure
	Value    string
	Trace    []string

	screen screen // of a stream
}

// wire has the fields of an output as they are written.
type wire struct {
	Kind     string                     `json:"output_type"`
	Name     string                     `json:"name"`
	Text     lines                      `json:"text"`
	Data     map[string]json.RawMessage `json:"data"`
	Metadata json.RawMessage            `json:"metadata"`
	Count    int                        `json:"execution_count"`
	Error    string                     `json:"ename"`
	Value    string                     `json:"evalue"`
	Trace    few                        `json:"traceback"`
}

// UnmarshalJSON reads an output of a notebook's, or the content of a kernel's message.
func (o *Output) UnmarshalJSON(text []byte) error {
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	*o = Output{Kind: w.Kind, Name: w.Name, Data: w.Data, Metadata: w.Metadata, Count: w.Count, Error: w.Error, Value: w.Value, Trace: w.Trace}
	o.screen.print(string(w.Text))
	o.screen.rest()
	return nil
}

// MarshalJSON gives exactly the fields that an output of its kind has.
func (o *Output) MarshalJSON() ([]byte, error) {
	all := map[string]any{"output_type": o.Kind}
	switch o.Kind {
	case Stream:
		all["name"], all["text"] = o.Name, lines(o.screen.String())
	case Failure:
		all["ename"], all["evalue"], all["traceback"] = o.Error, o.Value, append([]string{}, o.Trace...)
	default:
		data := map[string]json.RawMessage{}
		for kind, v := range o.Data {
			data[kind] = inLines(kind, v)
		}
		all["data"], all["metadata"] = data, o.Metadata
		if len(o.Metadata) == 0 {
			all["metadata"] = struct{}{}
		}
		if o.Kind == Result {
			all["execution_count"] = o.Count
		}
	}
	return marshal(all)
}

// inLines cuts text into lines where Jupyter does; what is not text stays as it is.
func inLines(kind string, v json.RawMessage) json.RawMessage {
	var s string
	if !strings.HasPrefix(kind, "text/") && kind != "image/svg+xml" && kind != "application/javascript" || json.Unmarshal(v, &s) != nil {
		return v
	}
	if list, err := lines(s).MarshalJSON(); err == nil {
		return list
	}
	return v
}

// Text is what the output says to somebody who reads text only.
func (o *Output) Text() string {
	switch o.Kind {
	case Stream:
		return o.screen.String()
	case Failure:
		if len(o.Trace) > 0 {
			return strings.Join(o.Trace, "\n")
		}
		return o.Error + ": " + o.Value
	}
	var text lines
	_ = json.Unmarshal(o.Data["text/plain"], &text) // none, then
	return string(text)
}

// pictures are the kinds of images that are shown, with how each begins.
var pictures = [...]struct{ kind, begins string }{{"image/png", "\x89PNG\r\n\x1a\n"}, {"image/jpeg", "\xff\xd8\xff"}}

// Image gives the picture in an output and its media type; nil if there is
// none, or if it is not what it says it is.
func (o *Output) Image() (kind string, picture []byte) {
	for _, p := range pictures {
		var text lines
		if json.Unmarshal(o.Data[p.kind], &text) != nil {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err == nil && bytes.HasPrefix(b, []byte(p.begins)) {
			return p.kind, b
		}
	}
	return "", nil
}
