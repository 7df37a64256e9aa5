package docker

import (
	"context"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// besideGreeter gives a box beside which something says hello at port 7000.
func besideGreeter(t *testing.T, rt *Runtime) masu.Box {
	t.Helper()
	b := testBox(t, rt)
	b.Sides = []masu.Side{{Name: "db", Image: b.Image, Limits: masu.Limits{Memory: 64 * masu.MiB}, Command: []string{"perl", "-MIO::Socket::INET", "-e",
		`my $l = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die "listen: $!"; while (my $c = $l->accept) { print $c "hello\n"; close $c }`}}}
	return b
}

// TestEngineSidesAreWalled: a side box is reached by name from its box alone:
// not from another box, by whatever name or address, and not from the host; and
// what was left of a start that a killed masu had begun is gone with the next one.
func TestEngineSidesAreWalled(t *testing.T) {
	rt := openEngine(t, nil)
	b, other := besideGreeter(t, rt), testBox(t, rt)
	other.ID += "other"
	t.Cleanup(func() {
		if err := rt.Remove(context.Background(), other.ID); err != nil {
			t.Error(err)
		}
	})
	mustStart(t, rt, b)
	mustStart(t, rt, other)
	if !reaches(t, rt, b, "db:7000") {
		t.Fatal("the box does not reach its side box: the test proves nothing")
	}
	side, err := rt.api.ContainerInspect(t.Context(), sideName(b.ID, "db"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := []string{"db", sideName(b.ID, "db")}
	for _, n := range side.Container.NetworkSettings.Networks {
		at = append(at, n.IPAddress.String())
	}
	if len(at) != 4 {
		t.Fatalf("it is at %v", at)
	}
	for _, host := range at {
		if reaches(t, rt, other, net.JoinHostPort(host, "7000")) {
			t.Errorf("another box reaches it at %s", host)
		}
	}
	fromHost := func(ip string) bool {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, "7000"), 3*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	for _, ip := range at[2:] {
		if fromHost(ip) {
			t.Errorf("the host's accounts reach it at %s", ip)
		}
	}
	inner := bridgeName(string(b.ID))
	must(t, "iptables", "-w", "-D", "OUTPUT", "-o", inner, "-j", "MASU-TO-"+inner)
	if !slices.ContainsFunc(at[2:], fromHost) {
		t.Error("without the rules nothing is reached either: the test proves nothing")
	}

	// As if masu had been killed between the side boxes and the box.
	must(t, "docker", "rm", "-f", boxName(b.ID))
	if err := rt.sweepSides(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "docker", "ps", "-q", "--filter", "label=masu.workspace="+string(b.ID)) + must(t, "docker", "network", "ls", "-q", "--filter", "name="+innerName(b.ID)); out != "" {
		t.Errorf("left behind: %q", out)
	}
	if out, err := exec.Command("iptables", "-w", "-S").Output(); err != nil || strings.Contains(string(out), inner) {
		t.Errorf("rules of a bridge that is gone: %v", err)
	}
}

// TestSidesBesideBadFolders: where ids cannot be mapped, no folder is shown to a service.
func TestSidesBesideBadFolders(t *testing.T) {
	rt := openEngine(t, func(c *Config) {
		c.Host = &counting{Host: c.Host, staged: map[string]bool{}, reason: "stage_no_idmap_fs"}
	})
	b := besideGreeter(t, rt)
	b.Sides[0].Mounts = []masu.Mount{{Folder: memberFolder(t), Target: "/in"}}
	err := rt.Start(t.Context(), b)
	if masu.CodeOf(err) != "side_folder" || masu.KindOf(err) != masu.Denied {
		t.Errorf("a folder that is not mapped: %v", err)
	}
}
