package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func exampleSide() (plan, masu.Side) {
	p := examplePlan()
	s := masu.Side{Name: "db", Image: "sha256:9a8b", Command: []string{"postgres", "-c", "fsync=on"}, Dir: "/srv", Health: []string{"pg_isready"},
		Variables: map[string]string{"POSTGRES_PASSWORD": "x"}, Limits: masu.Limits{Memory: 2 * masu.GiB, CPUs: 1},
		Mounts: []masu.Mount{{Volume: "masu-vol-abcdefghijkl-data", Target: "/var/lib/postgresql/data"}, {Folder: "/home/alice/thesis/init", Target: "/init", ReadOnly: true}}}
	p.box = masu.Box{ID: p.box.ID, Owner: p.box.Owner, Sides: []masu.Side{s}, Mounts: s.Mounts, Limits: s.Limits}
	p.sources, p.imageID = []string{"", "/run/masu/stage/abcdefghijkl/1-db"}, s.Image
	p.proxy = map[string]string{"https_proxy": "http://proxy.example:3128"}
	return p, s
}

func TestCreateSide(t *testing.T) {
	p, s := exampleSide()
	golden(t, "side.json", p.createSide(s))
}

// What must hold of a side box whatever is asked for; the golden file could be updated by mistake.
func TestSidesAreSafe(t *testing.T) {
	p, s := exampleSide()
	o := p.createSide(s)
	h := o.HostConfig
	if h.Privileged || len(h.Binds) > 0 || len(h.PortBindings) > 0 || h.PublishAllPorts || len(h.DeviceRequests) > 0 || len(h.Devices) > 0 || h.PidMode != "" || h.UsernsMode != "" {
		t.Errorf("privileges, ports or devices: %+v", h)
	}
	if !slices.Equal(h.CapDrop, []string{"ALL"}) || slices.Contains(h.CapAdd, "SYS_ADMIN") || !slices.Contains(h.SecurityOpt, "no-new-privileges") {
		t.Errorf("powers: -%v +%v %v", h.CapDrop, h.CapAdd, h.SecurityOpt)
	}
	if h.Memory <= 0 || h.Memory != h.MemorySwap || h.PidsLimit == nil || *h.PidsLimit <= 0 {
		t.Errorf("limits: %+v", h.Resources)
	}
	if string(h.NetworkMode) != networkName(p.lab) || !h.IpcMode.IsPrivate() {
		t.Errorf("its network is %q", h.NetworkMode)
	}
	for _, kv := range o.Config.Env {
		if k, v, set := strings.Cut(kv, "="); set && (strings.HasPrefix(k, "LD_") || k == "NVIDIA_VISIBLE_DEVICES" && v != "void") {
			t.Errorf("%s reaches the host's hooks", kv)
		}
	}
	if o.Config.Hostname == s.Name { // the engine would let every box of the lab resolve it
		t.Error("its name is known on the lab's bridge")
	}
	if !slices.Contains(o.Config.Env, "no_proxy=localhost,127.0.0.1,db") {
		t.Errorf("what is for its neighbours goes to the proxy: %v", o.Config.Env)
	}
}

// TestBoxesAreWhatTheyWere: a box without side boxes is made as before there were any.
func TestBoxesAreWhatTheyWere(t *testing.T) {
	p := examplePlan()
	if _, set := p.create().Config.Labels[labelSides]; set {
		t.Error("it has another label")
	}
	without := digest(p.box)
	p.box.Sides = []masu.Side{{Name: "db"}}
	if p.create().Config.Labels[labelSides] != "db" || digest(p.box) == without {
		t.Error("a side box makes no difference")
	}
	if p.box.Name = "db"; p.create().Config.Hostname == "db" {
		t.Error("the box takes its side box's name")
	}
}
