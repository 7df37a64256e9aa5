package masu

// Severity says how much a finding matters.
type Severity string

const (
	Good Severity = "ok"   // examined and in order
	Info Severity = "info" // worth knowing
	Warn Severity = "warn" // works, but will hurt
	Fail Severity = "fail" // masu cannot work so
)

// Finding is one result of doctor. Code names sentences in internal/text: CODE
// says what was found, CODE.fix what to do. Commands mend it; each is an argv
// that `masu doctor --fix` runs after asking.
type Finding struct {
	Code     string     `json:"code"`
	Severity Severity   `json:"severity"`
	Args     []string   `json:"args,omitempty"`
	Commands [][]string `json:"commands,omitempty"`
	Root     bool       `json:"root,omitempty"` // the commands need root
}
