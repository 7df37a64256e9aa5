package docker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client/pkg/versions"
)

// sizedVolumes is the first version of the engine's API whose local volumes take a size.
const sizedVolumes = "1.42"

// quotas tells which of a box's disk limits the engine can hold.
type quotas struct {
	box    bool // what a box writes over its image
	volume bool // its volumes
}

// quotasOf asks where the engine keeps its data. It holds limits only on XFS
// that is mounted with project quotas, and refuses them elsewhere
// (https://docs.docker.com/reference/cli/docker/container/run/#storage-opt).
func quotasOf(mountinfo, root, storage, api string) quotas {
	kind, options := fileSystem(mountinfo, root)
	held := kind == "xfs" && (slices.Contains(options, "prjquota") || slices.Contains(options, "pquota"))
	return quotas{box: held && storage == "overlay2", volume: held && !versions.LessThan(api, sizedVolumes)}
}

// fileSystem gives the kind and the options of the file system that holds path,
// from the text of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func fileSystem(mountinfo, path string) (kind string, options []string) {
	longest := -1
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 {
			continue
		}
		at := strings.TrimSuffix(l[4], "/")
		if (path == l[4] || strings.HasPrefix(path, at+"/")) && len(at) >= longest { // a later one covers an earlier one
			longest, kind, options = len(at), r[0], strings.Split(r[2], ",")
		}
	}
	return kind, options
}

// storage is the box's own part of its disk limit; nil where none is held.
func (p plan) storage() map[string]string {
	if p.box.Limits.Disk == 0 || !p.engine.quotas.box {
		return nil
	}
	return map[string]string{"size": strconv.FormatInt(int64(p.box.Limits.Disk), 10)}
}

// volumeDriver gives a volume its limit; nil where none is held.
func (p plan) volumeDriver() *mount.Driver {
	if p.box.Limits.Disk == 0 || !p.engine.quotas.volume {
		return nil
	}
	return &mount.Driver{Name: "local", Options: map[string]string{"size": strconv.FormatInt(int64(p.box.Limits.Disk), 10)}}
}
