package docker

import "testing"

func TestQuotasOf(t *testing.T) {
	const (
		root  = "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,prjquota\n"
		data  = "31 22 259:5 / /var/lib/docker rw,relatime shared:9 - xfs /dev/nvme1n1 rw,attr2,inode64,prjquota\n"
		plain = "31 22 259:5 / /var/lib/docker rw,relatime - xfs /dev/nvme1n1 rw,attr2,inode64,noquota\n"
		cover = "40 31 259:6 / /var/lib/docker rw,relatime - btrfs /dev/sdb rw\n"
		near  = "41 22 259:7 / /var/lib/docker2 rw - xfs /dev/sdc rw,pquota\n"
	)
	for name, c := range map[string]struct {
		mounts, storage, api string
		want                 quotas
	}{
		"XFS with quotas":         {root + data, "overlay2", "1.45", quotas{true, true}},
		"an old engine":           {root + data, "overlay2", "1.41", quotas{box: true}},
		"another store of images": {root + data, "overlayfs", "1.45", quotas{volume: true}},
		"without quotas":          {root + plain, "overlay2", "1.45", quotas{}},
		"not XFS":                 {root, "overlay2", "1.45", quotas{}},
		"covered":                 {root + data + cover, "overlay2", "1.45", quotas{}},
		"a name that begins so":   {root + near, "overlay2", "1.45", quotas{}},
		"nothing":                 {"", "overlay2", "1.45", quotas{}},
	} {
		if got := quotasOf(c.mounts, "/var/lib/docker", c.storage, c.api); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
