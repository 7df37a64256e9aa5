package doctor

import (
	"context"
	"strconv"

	"github.com/masu-lab/masu"
)

// checkSSH tells the gateway's key, so that an admin can publish what members compare.
func checkSSH(_ context.Context, e *exam) []masu.Finding {
	if e.SSH.Port == 0 {
		return nil
	}
	return one(masu.Info, "ssh_key", strconv.Itoa(e.SSH.Port), e.SSH.Fingerprint)
}
