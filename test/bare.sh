#!/bin/sh
# A bare Debian that has no engine: what `make up` runs must end there with a
# running notebook, and the second time with nothing changed. It is a root file
# system, a network, mounts and processes of its own; the kernel is this host's.
# Run as root, after `make setup`; it takes some minutes.
set -eu
bin=$(realpath bin/masu)
root=$(mktemp -d /var/tmp/masu-bare-XXXXXX)
box=$(docker run -d --rm masu-test/base sleep 3600) # for its network
end() {
	docker rm -f "$box" >/dev/null 2>&1 || true
	rm -rf --one-file-system "$root"
}
trap end EXIT INT TERM
image=$(docker create masu-test/base)
docker export "$image" | tar -x -C "$root"
docker rm "$image" >/dev/null
install -m 755 "$bin" "$root/usr/local/bin/masu"
# How this site reaches Debian's packages.
for f in /etc/resolv.conf /etc/apt/apt.conf.d /etc/ssl/certs /usr/local/share/ca-certificates; do
	[ -e "$f" ] || continue
	mkdir -p "$root$(dirname "$f")"
	rm -rf "${root:?}$f"
	cp -rL "$f" "$root$f"
done
cat >"$root/inside" <<'INSIDE'
#!/bin/sh
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root MASU_LANG=en
command -v dockerd >/dev/null 2>&1 && { echo "an engine is here already"; exit 1; }
cd /
masu up --yes
masu ls
began=$(date +%s)
masu up --yes
echo "bare: the second time took $(($(date +%s) - began)) s"
masu check work
# Made a service of this machine: the daemon that `up` has started makes room
# for it, and for a newer one; notebooks go on.
daemon() {
	for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) in *"masu serve "*) echo "${p#/proc/}" ;; esac
	done
}
before=$(masu exec work -- cat /proc/1/stat)
masu serve --install --yes
[ "$(masu exec work -- cat /proc/1/stat | cut -d" " -f22)" = "$(echo "$before" | cut -d" " -f22)" ]
first=$(daemon)
masu serve --install --yes
[ "$(daemon)" != "$first" ]
masu check work
masu rm --yes work
masu serve --uninstall
[ -z "$(daemon)" ]
[ ! -e /usr/local/bin/masu ]
[ -e /var/lib/masu/masu.db ]
echo "bare: ALL WELL"
INSIDE
chmod 755 "$root/inside"
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork --kill-child nsenter --net="/proc/$(docker inspect -f '{{.State.Pid}}' "$box")/ns/net" sh -c '
	set -eu
	mount --make-rprivate /
	mount --bind "$1" "$1"
	cd "$1"
	mkdir -p proc sys dev run tmp old
	mount -t proc proc proc
	mount -t tmpfs tmpfs run
	mount -t tmpfs tmpfs tmp
	mount --rbind /sys sys
	mount --rbind /dev dev
	pivot_root . old # which stays there: the bare system has no umount
	exec /inside' sh "$root"
