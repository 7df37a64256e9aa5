package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

const usualSocket = "unix:///var/run/docker.sock"

// oldestEngine is the first with the BuildKit that masu builds with.
var oldestEngine = [3]int{20, 10, 0}

// engineFacts is what an engine says about itself, or why it says nothing.
type engineFacts struct {
	err                error
	ServerVersion      string
	LiveRestoreEnabled bool
	DockerRootDir      string
	CgroupVersion      string
	CgroupDriver       string
	HTTPProxy          string `json:"HttpProxy"`
	HTTPSProxy         string `json:"HttpsProxy"`
	CDISpecDirs        []string
	Swarm              struct{ LocalNodeState string }
}

// askEngine asks an engine by its own HTTP, so that doctor can look at one that the driver would refuse.
func askEngine(ctx context.Context, address string) (f engineFacts) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	network, addr := "unix", strings.TrimPrefix(address, "unix://")
	if a, tcp := strings.CutPrefix(address, "tcp://"); tcp {
		network, addr = "tcp", a
	} else if strings.Contains(addr, "://") {
		return engineFacts{err: errors.New("no address of a socket")}
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/info", nil)
	if err != nil {
		return engineFacts{err: err}
	}
	resp, err := client.Do(req)
	if err != nil {
		return engineFacts{err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return engineFacts{err: errors.New(resp.Status)}
	}
	f.err = json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(&f)
	return f
}

func checkEngine(_ context.Context, e *exam) []masu.Finding {
	f := e.engine()
	switch {
	case f.err == nil && olderThan(f.ServerVersion, oldestEngine):
		return one(masu.Fail, "engine_old", f.ServerVersion)
	case f.err == nil:
		return one(masu.Good, "engine_ok", f.ServerVersion)
	case errors.Is(f.err, fs.ErrPermission):
		return one(masu.Fail, "engine_no_access", e.Socket)
	case errors.Is(f.err, context.DeadlineExceeded), errors.Is(f.err, os.ErrDeadlineExceeded):
		return one(masu.Fail, "engine_hangs", e.Socket)
	case !errors.Is(f.err, fs.ErrNotExist) && !errors.Is(f.err, syscall.ECONNREFUSED):
		return one(masu.Fail, "engine_strange", e.Socket, f.err.Error())
	}
	if _, there := e.program("dockerd"); there {
		start := []string{"masu", "doctor", "--start-engine"}
		if e.systemd() {
			start = []string{"systemctl", "enable", "--now", "docker"}
		}
		return mend(finding(masu.Fail, "engine_stopped", e.Socket), start)
	}
	if e.has("/snap/bin/docker") {
		return mend(finding(masu.Fail, "engine_stopped", e.Socket), []string{"snap", "start", "docker"})
	}
	return mend(finding(masu.Fail, "engine_missing"), InstallEngine(e.distro())...)
}

// olderThan compares "20.10.24+dfsg1" by its numbers.
func olderThan(version string, floor [3]int) bool {
	for i, part := range strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3) {
		end := 0
		for end < len(part) && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(part[:end])
		if err != nil {
			return false // no number that we know: better to try than to refuse
		}
		if n != floor[i] {
			return n < floor[i]
		}
	}
	return false
}

// checkLiveRestore looks for the difference between "the engine was updated" and "everybody's training is dead".
func checkLiveRestore(_ context.Context, e *exam) []masu.Finding {
	f := e.engine()
	switch {
	case f.err != nil:
		return nil
	case f.LiveRestoreEnabled:
		return one(masu.Good, "live_restore_ok")
	case f.Swarm.LocalNodeState == "active":
		return one(masu.Warn, "live_restore_swarm")
	case e.has("/etc/docker/daemon.json") || e.Socket != usualSocket:
		return one(masu.Warn, "live_restore_off") // a file that somebody wrote is theirs to change
	}
	reload := []string{"systemctl", "reload", "docker"}
	if !e.systemd() {
		reload = []string{"sh", "-c", "kill -HUP $(cat /var/run/docker.pid)"}
	}
	return mend(finding(masu.Warn, "live_restore_off"),
		[]string{"mkdir", "-p", "/etc/docker"},
		[]string{"sh", "-c", `printf '{\n  "live-restore": true\n}\n' > /etc/docker/daemon.json`}, reload)
}

// checkAccess names who may use the engine, because each of them is root on this host.
func checkAccess(_ context.Context, e *exam) []masu.Finding {
	for line := range strings.Lines(e.read("/etc/group")) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[0] == "docker" && fields[3] != "" {
			return one(masu.Info, "engine_group", strings.ReplaceAll(fields[3], ",", ", "))
		}
	}
	return one(masu.Good, "engine_group_empty")
}

func checkSnap(_ context.Context, e *exam) []masu.Finding {
	if strings.HasPrefix(e.engine().DockerRootDir, "/var/snap/") {
		return one(masu.Warn, "engine_snap")
	}
	return nil
}

func checkCgroup(_ context.Context, e *exam) []masu.Finding {
	switch f := e.engine(); {
	case f.err != nil:
		return nil
	case f.CgroupVersion == "1":
		return one(masu.Info, "cgroup_v1", f.CgroupDriver)
	default:
		return one(masu.Good, "cgroup_ok", f.CgroupVersion, f.CgroupDriver)
	}
}

// checkProxy looks for the usual reason why pulls fail where everything else works.
func checkProxy(_ context.Context, e *exam) []masu.Finding {
	f := e.engine()
	if f.err != nil || f.HTTPProxy != "" || f.HTTPSProxy != "" {
		return nil
	}
	for _, v := range []string{"https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"} {
		if e.Getenv(v) != "" {
			return one(masu.Warn, "proxy_not_engine", v)
		}
	}
	return nil
}

func checkRuntime(ctx context.Context, e *exam) []masu.Finding {
	if e.Runtime == nil || e.engine().err != nil {
		return nil
	}
	info, err := e.Runtime(ctx)
	if err != nil {
		return []masu.Finding{fromError(masu.Fail, err)}
	}
	var all []masu.Finding
	if e.DiskLimit > 0 && !info.DiskLimits {
		all = append(all, finding(masu.Warn, "no_quotas", info.Root))
	}
	for _, w := range info.Warnings {
		all = append(all, finding(masu.Info, "engine_warning", w))
	}
	return all
}

// fromError makes a finding of an error that has a sentence.
func fromError(s masu.Severity, err error) masu.Finding {
	if e, ok := errors.AsType[*masu.Error](err); ok {
		return finding(s, e.Code, e.Args...)
	}
	return finding(s, "engine_warning", err.Error())
}
