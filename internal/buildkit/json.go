package buildkit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/masu-lab/masu"
)

// DecodeJSON reads a line of `buildctl build --progress=rawjson`.
func DecodeJSON(line []byte) (t Trace, err error) {
	var m struct {
		Vertexes []struct {
			Digest, Name, Error string
			Cached              bool
			Started, Completed  *time.Time
		}
		Statuses []struct {
			ID, Vertex     string
			Current, Total masu.Bytes
		}
		Logs []struct {
			Vertex string
			Data   []byte
		}
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return t, fmt.Errorf("buildkit: %w", err)
	}
	for _, v := range m.Vertexes {
		t.Vertices = append(t.Vertices, Vertex{Digest: v.Digest, Name: v.Name, Err: v.Error, Cached: v.Cached, Started: v.Started != nil, Completed: v.Completed != nil})
	}
	for _, s := range m.Statuses {
		t.Transfers = append(t.Transfers, Transfer(s))
	}
	for _, l := range m.Logs {
		t.Outputs = append(t.Outputs, Output{Vertex: l.Vertex, Text: l.Data})
	}
	return t, nil
}
