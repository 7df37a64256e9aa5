package doctor

import (
	"context"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// InstallEngine gives the commands, for root, that install a container engine
// from the packages of a distribution (its ID in /etc/os-release); nil for one
// that has none. They also bring what masu makes base images with.
func InstallEngine(distro string) [][]string {
	switch distro {
	case "debian", "ubuntu":
		// apparmor: where the kernel enforces it, the engine starts no container without its parser.
		return [][]string{apt("update"), aptInstall("--no-install-recommends", "docker.io", "iptables", "apparmor", "mmdebstrap", "ca-certificates")}
	case "fedora":
		return [][]string{{"dnf", "install", "-y", "moby-engine", "iptables-nft", "ca-certificates"}}
	}
	return nil
}

// apt gives an apt-get that asks nothing.
func apt(args ...string) []string {
	return append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get"}, args...)
}

// aptInstall also waits for the updates that run by themselves on a fresh machine.
func aptInstall(args ...string) []string {
	return apt(append([]string{"-o", "DPkg::Lock::Timeout=300", "install", "-y"}, args...)...)
}

const (
	engineLog   = "/var/log/masu-dockerd.log"
	engineStart = 30 * time.Second
)

// StartEngine starts the engine where no systemd does it, detached from this
// process, and returns when it answers. One that answers already is left alone.
// It needs root: Denied "engine_needs_root". An engine that is not installed is
// NotFound "engine_missing", one that ends or does not answer in time is
// Unreachable "engine_not_started"; both leave their words in the log named.
func StartEngine(ctx context.Context) error {
	if askEngine(ctx, usualSocket).err == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return masu.E(masu.Denied, "engine_needs_root")
	}
	return startEngine(ctx, "dockerd", usualSocket, engineLog)
}

func startEngine(ctx context.Context, program, socket, logPath string) error {
	path, err := lookPath(program)
	if err != nil {
		return masu.E(masu.NotFound, "engine_missing").Because(err)
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return masu.E(masu.Unreachable, "engine_not_started", logPath).Because(err)
	}
	defer log.Close()
	cmd := exec.Command(path) // not CommandContext: it outlives this process
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PATH="+systemPath) // the engine looks for iptables
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What else whoever runs this has open is not the engine's to hold: a lock of
	// theirs would be held as long as the engine runs.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // an old kernel cannot
	if err := cmd.Start(); err != nil {
		return masu.E(masu.Unreachable, "engine_not_started", logPath).Because(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the engine, or with this process
	if err := awaitEngine(ctx, socket, ended, logPath); err != nil {
		cmd.Process.Signal(syscall.SIGTERM) // it has ended already, or is of no use
		return err
	}
	return nil
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath also looks where a PATH that was not made for root does not.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath("/usr/sbin/" + program); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/local/bin/" + program)
}

func awaitEngine(ctx context.Context, socket string, ended <-chan error, logPath string) error {
	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return masu.E(masu.Unreachable, "engine_not_started", logPath).Because(err)
		case <-ctx.Done():
			return masu.E(masu.Unreachable, "engine_not_started", logPath).Because(ctx.Err())
		case <-tick.C:
			if askEngine(ctx, socket).err == nil {
				return nil
			}
		}
	}
}
