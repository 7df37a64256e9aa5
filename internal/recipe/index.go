package recipe

import "strings"

// WheelIndex is the address of the official index of torch's wheels. A host
// that reaches it reaches the internet's Python packages.
func WheelIndex() string {
	t := versions()
	url, _, _ := strings.Cut(t.Torch[newestFirst(t.Torch)[0]].IndexURL, "{")
	return url
}
