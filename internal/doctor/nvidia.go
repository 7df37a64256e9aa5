package doctor

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// safeToolkit is the first NVIDIA Container Toolkit in which an image cannot
// become root on the host by its variables alone (CVE-2025-23266).
var safeToolkit = [3]int{1, 17, 8}

var (
	driverVersion  = regexp.MustCompile(`NVRM version:.*?\s([0-9]{3}(?:\.[0-9]+){1,2})\s`)
	toolkitVersion = regexp.MustCompile(`version:? ([0-9]+\.[0-9]+\.[0-9]+\S*)`)
)

// driver gives the version of the loaded driver, "" if none is.
func (e *exam) driver() string {
	if m := driverVersion.FindStringSubmatch(e.read("/proc/driver/nvidia/version")); m != nil {
		return m[1]
	}
	return ""
}

// card tells whether there is an NVIDIA card in the machine, driver or not.
func (e *exam) card() bool {
	devices, err := filepath.Glob(e.path("/sys/bus/pci/devices/*"))
	if err != nil {
		return false
	}
	for _, d := range devices {
		vendor, err := os.ReadFile(filepath.Join(d, "vendor"))
		if err != nil {
			continue
		}
		class, err := os.ReadFile(filepath.Join(d, "class"))
		if err == nil && strings.HasPrefix(string(vendor), "0x10de") && strings.HasPrefix(string(class), "0x03") {
			return true
		}
	}
	return false
}

func checkDriver(ctx context.Context, e *exam) []masu.Finding {
	version := e.driver()
	if version == "" && e.card() {
		return one(masu.Warn, "nvidia_driver_missing")
	}
	if version == "" && e.Inventory == nil {
		return one(masu.Info, "nvidia_none")
	}
	if e.Inventory == nil {
		return one(masu.Good, "nvidia_driver_ok", version)
	}
	gpus, err := e.Inventory.GPUs(ctx)
	gpus = slices.DeleteFunc(gpus, func(g masu.GPU) bool { return g.ID.CDI() }) // checkDevices' business
	switch {
	case err != nil:
		return []masu.Finding{fromError(masu.Warn, err)}
	case len(gpus) == 0 && version == "":
		return one(masu.Info, "nvidia_none")
	case len(gpus) == 0:
		return one(masu.Warn, "nvidia_no_card", version)
	}
	if version == "" { // as under WSL
		if version, err = e.Inventory.Driver(ctx); err != nil {
			return []masu.Finding{fromError(masu.Warn, err)}
		}
	}
	return one(masu.Good, "nvidia_ok", version, strconv.Itoa(len(gpus)))
}

func checkToolkit(ctx context.Context, e *exam) []masu.Finding {
	if e.driver() == "" {
		return nil
	}
	ctk, there := e.program("nvidia-ctk")
	if !there {
		return one(masu.Warn, "toolkit_missing")
	}
	out, err := e.Output(ctx, ctk, "--version")
	m := toolkitVersion.FindStringSubmatch(out)
	switch {
	case err != nil || m == nil:
		return one(masu.Warn, "toolkit_strange", ctk)
	case olderThan(m[1], safeToolkit):
		return mend(finding(masu.Fail, "toolkit_old", m[1]), e.upgrade("nvidia-container-toolkit")...)
	}
	return one(masu.Good, "toolkit_ok", m[1])
}

// upgrade gives the commands that bring a package to the newest version.
func (e *exam) upgrade(name string) [][]string {
	switch e.distro() {
	case "debian", "ubuntu":
		return [][]string{apt("update"), aptInstall("--only-upgrade", name)}
	case "fedora", "rhel":
		return [][]string{{"dnf", "upgrade", "-y", name}}
	}
	return nil
}

// checkCDI looks for the way to give devices that survives a reload of
// systemd; without it, boxes lose their GPU unless the device nodes are linked.
func checkCDI(_ context.Context, e *exam) []masu.Finding {
	ctk, there := e.program("nvidia-ctk")
	if e.driver() == "" || !there {
		return nil
	}
	for _, pattern := range []string{"/etc/cdi/*nvidia*", "/var/run/cdi/*nvidia*"} {
		if specs, err := filepath.Glob(e.path(pattern)); err == nil && len(specs) > 0 {
			if len(e.engine().CDISpecDirs) > 0 {
				return one(masu.Good, "cdi_ok")
			}
			return e.deviceLinks(ctk, one(masu.Info, "cdi_engine"))
		}
	}
	return e.deviceLinks(ctk, mend(finding(masu.Info, "cdi_missing"),
		[]string{"mkdir", "-p", "/etc/cdi"}, []string{"nvidia-ctk", "cdi", "generate", "--output=/etc/cdi/nvidia.yaml"}))
}

func (e *exam) deviceLinks(ctk string, found []masu.Finding) []masu.Finding {
	links, err := filepath.Glob(e.path("/dev/char/195:*"))
	if e.engine().CgroupDriver == "systemd" && err == nil && len(links) == 0 {
		found = append(found, mend(finding(masu.Warn, "nvidia_links"), []string{"nvidia-ctk", "system", "create-dev-char-symlinks", "--create-all"})...)
	}
	return found
}
