package masutest

import (
	"strings"

	"github.com/masu-lab/masu"
)

// testServiceKeys: who adds a key changes nothing for others who have added it.
func testServiceKeys(g *guest) {
	bob := g.other()
	for _, line := range []string{"", "ssh-ed25519", "ssh-ed25519 !!!!", aKey + "\n" + aKey, "ssh-ed25519 " + strings.Repeat("A", 100<<10)} {
		_, err := g.svc.AddKey(g.ctx, line, "")
		wantError(g.T, err, masu.Invalid, "key_wrong")
	}
	k, err := g.svc.AddKey(g.ctx, aKey+" alice@laptop\r\n", "")
	if err != nil || k.Fingerprint != "SHA256:3Q+pJvkNReFVPpFLzKGBhLBcDy6MYx6ALNrmV8emr0o" || k.Name != "alice@laptop" || k.Key != aKey || k.User != "suite-a" {
		g.Fatalf("key: %+v, %v", k, err)
	}
	if again, err := g.svc.AddKey(g.ctx, aKey, "ノート"); err != nil || again.Name != "ノート" {
		g.Errorf("again: %+v, %v", again, err)
	}
	if theirs, err := bob.AddKey(g.ctx, aKey, "not his"); err != nil || theirs.User == "suite-a" {
		g.Errorf("another's: %+v, %v", theirs, err)
	}
	if list, err := g.svc.Keys(g.ctx); err != nil || len(list) != 1 || list[0].Fingerprint != k.Fingerprint || list[0].Name != "ノート" {
		g.Errorf("keys: %+v, %v", list, err)
	}
	if err := bob.RemoveKey(g.ctx, k.Fingerprint); err != nil {
		g.Error(err)
	}
	if list, err := bob.Keys(g.ctx); err != nil || len(list) != 0 {
		g.Errorf("bob's: %+v, %v", list, err)
	}
	wantError(g.T, bob.RemoveKey(g.ctx, k.Fingerprint), masu.NotFound, "no_key")
	if err := g.svc.RemoveKey(g.ctx, k.Fingerprint); err != nil {
		g.Error(err)
	}
	wantError(g.T, g.svc.RemoveKey(g.ctx, k.Fingerprint), masu.NotFound, "no_key")
}
