#!/bin/sh
# The .deb under Debian's own systemd: a root file system, processes, a network
# and control groups of its own, with systemd as its first process; the kernel
# is this host's, and so is the engine, which is only asked whether it is there:
# what boxes do is tested elsewhere.
# Run as root, after `make setup packages`; it takes about half a minute.
set -eu
deb=$(realpath dist/masu_*_"$(dpkg --print-architecture)".deb)
bin=$(realpath bin/masu)
root=$(mktemp -d /var/tmp/masu-systemd-XXXXXX)
groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/${root##*/}
log=$root.log
first=
end() {
	[ -z "$first" ] || kill -9 "$first" 2>/dev/null || true # the first process takes the others with it
	wait
	find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null || true
	rm -rf --one-file-system "$root" "$log"
	docker network prune -f --filter label=masu.lab >/dev/null
}
trap end EXIT INT TERM
chmod 755 "$root" # members must find their way from it
image=$(docker create masu-test/base)
docker export "$image" | tar -x -C "$root"
docker rm "$image" >/dev/null
# How this site reaches Debian's packages.
for f in /etc/resolv.conf /etc/apt/apt.conf.d /etc/ssl/certs /usr/local/share/ca-certificates; do
	[ -e "$f" ] || continue
	mkdir -p "$root$(dirname "$f")"
	rm -rf "${root:?}$f"
	cp -rL "$f" "$root$f"
done
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd systemd-sysv dbus passwd"' sh "$root" >"$log" 2>&1 || {
	cat "$log"
	exit 1
}
cp "$deb" "$root/masu.deb"
cp "$bin" "$root/masu.new"
mkdir -p "$groups"

# The first process: everything it sees is its own.
cat >"$root/first" <<'FIRST'
#!/bin/sh
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mkdir -p old
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
# Devices of its own: what is done to the console (systemd takes it from everybody) must not be done to the host's /dev/null.
while read -r name minor; do
	mknod -m 666 "dev/$name" c 1 "$minor"
done <<DEVICES
null 3
zero 5
full 7
random 8
urandom 9
console 3
DEVICES
mknod -m 666 dev/tty c 5 0
touch engine.sock
mount --bind "$2" engine.sock
pivot_root . old
umount -l /old
exec env -i container=masu PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
FIRST
cat >"$root/inside" <<'INSIDE'
#!/bin/bash
set -Eeu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root MASU_LANG=en DEBIAN_FRONTEND=noninteractive
trap 'echo "systemd: line $LINENO failed"; journalctl --no-pager -u masu -n 30' ERR
[ "$(cat /proc/1/comm)" = systemd ]
main() { systemctl show -P MainPID masu; }
page() { # the first line of the answer of the page
	exec 3<>/dev/tcp/127.0.0.1/8888
	printf 'GET /signin HTTP/1.0\r\nHost: localhost:8888\r\n\r\n' >&3
	head -n 1 <&3
	exec 3>&-
}
serves() { # and to a member at the socket, as themselves
	systemctl is-active --quiet masu
	page | grep -q ' 200 '
	runuser -u alice -- masu ls >/dev/null 2>&1
}
ended() { if systemctl is-active --quiet masu; then false; fi; }
useradd -m -s /bin/bash alice
useradd -m -s /usr/sbin/nologin ghost

began=$(date +%s)
dpkg -i /masu.deb >/dev/null 2>&1 # its script enables and starts the service
# Before the engine is there masu does not give up, and tells why.
journalctl -u masu -o cat | grep -q 'container engine does not answer'
ln -s /engine.sock /run/docker.sock
until systemctl is-active --quiet masu; do sleep 0.1; done
serves
echo "systemd: a page $(($(date +%s) - began)) s after dpkg began"
systemctl is-enabled --quiet masu
[ "$(systemctl show -P Type masu)" = notify ]
for p in LockPersonality RestrictRealtime; do [ "$(systemctl show -P $p masu)" = yes ]; done
[ "$(systemctl show -P SystemCallArchitectures masu)" = native ]
[ "$(readlink "/proc/$(main)/ns/mnt")" = "$(readlink /proc/1/ns/mnt)" ] # what it stages, the engine must see
if runuser -u ghost -- masu ls 2>/dev/null; then echo "a login without a shell was let in"; exit 1; fi

# What it keeps outlives a restart, a death and an upgrade.
runuser -u alice -- masu token add --name nightly >/dev/null 2>&1
keeps() {
	serves
	runuser -u alice -- masu token ls | grep -q nightly
}
last=$(main)
systemctl restart masu # returns when it has said that it is ready
[ "$(main)" != "$last" ]
keeps
last=$(main)
kill -9 "$last"
until [ "$(main)" != "$last" ] && [ "$(main)" != 0 ] && systemctl is-active --quiet masu; do sleep 0.1; done
keeps
[ "$(systemctl show -P NRestarts masu)" = 1 ]
last=$(main)
dpkg -i /masu.deb >/dev/null
[ "$(main)" != "$last" ]
keeps

# The log is the journal's: as JSON, with no file to rotate.
journalctl -u masu -o cat | grep -q '"msg":"serving"'
[ ! -e /var/log/masu.log ]
[ ! -e /etc/logrotate.d/masu ]

dpkg -r masu >/dev/null
ended
[ -s /var/lib/masu/masu.db ]
[ -e /etc/masu/config.yaml ]

# The same without a package, on what the package has left.
/masu.new serve --install --yes >/dev/null 2>&1
hash -r
keeps
masu serve --uninstall >/dev/null 2>&1
ended
[ ! -e /etc/systemd/system/masu.service ]
[ ! -e /usr/local/bin/masu ]
[ -s /var/lib/masu/masu.db ]
trap - ERR
echo "systemd: ALL WELL"
INSIDE
chmod 755 "$root/first" "$root/inside"
(
	echo 0 >"$groups/cgroup.procs"
	exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup "$root/first" "$root" "$(realpath /var/run/docker.sock)" >"$log" 2>&1
) &
until first=$(pgrep -P $!) && [ "$(cat "/proc/$first/comm")" = systemd ]; do
	kill -0 $! || {
		cat "$log"
		exit 1
	}
	sleep 0.1
done
within() { nsenter --target "$first" --all "$@"; }
until within systemctl is-system-running --wait >/dev/null 2>&1 || within systemctl is-system-running 2>/dev/null | grep -q degraded; do sleep 0.2; done
within ip link set lo up 2>/dev/null || true # systemd has done so, where there is no ip
within timeout 120 /inside
