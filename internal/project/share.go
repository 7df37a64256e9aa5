package project

import (
	"reflect"
	"strings"
	"testing/fstest"

	"github.com/masu-lab/masu"
)

// Text writes the masu.yaml that asks for an environment and for nothing else,
// so that a colleague's folder can ask for the same. It reads back what it
// wrote: where that is not the same environment (one that a Dockerfile or other
// files of the folder make), it is Invalid "share_dockerfile".
func Text(env masu.Environment, comments ...string) (string, error) {
	var b strings.Builder
	for _, c := range comments {
		if strings.TrimSpace(c) == "" {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(c), "\n") {
			b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
		}
	}
	for _, k := range []struct{ name, value string }{
		{"preset", env.Preset}, {"base", string(env.Base)}, {"python", env.Python}, {"torch", env.Torch},
		{"tensorflow", env.TensorFlow}, {"cuda", env.CUDA}, {"locale", env.Locale}, {"timezone", env.Timezone},
	} {
		if k.value != "" {
			b.WriteString(k.name + ": " + quote(k.value) + "\n")
		}
	}
	for _, k := range []struct {
		name   string
		values []string
	}{{"apt", env.Apt}, {"pip", env.Pip}, {"run", env.Run}} {
		if len(k.values) > 0 {
			b.WriteString(k.name + ":\n")
		}
		for _, v := range k.values {
			b.WriteString("  - " + quote(v) + "\n")
		}
	}
	text := b.String()
	if p, err := Read(alone{fstest.MapFS{"masu.yaml": {Data: []byte(text), Mode: 0o644}}}, ""); err != nil || !reflect.DeepEqual(p.Environment, env) {
		return "", masu.E(masu.Invalid, "share_dockerfile").Because(err)
	}
	return text, nil
}

// alone is a folder in memory.
type alone struct{ fstest.MapFS }

func (alone) Dir() string  { return "/" }
func (alone) Close() error { return nil }
