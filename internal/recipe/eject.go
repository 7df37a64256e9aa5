package recipe

import "github.com/masu-lab/masu"

// EjectConfig says what to write down.
type EjectConfig struct {
	Project masu.Project
	Host    masu.Host
	Site    masu.Site
	CAs     []masu.File
}

// Eject writes a project's environment down as plain files.
func Eject(c EjectConfig) ([]masu.File, error) {
	r, err := Plan(Config{Environment: c.Project.Environment, Host: c.Host, Site: c.Site, CAs: c.CAs, Compact: true})
	return r.Files, err
}
