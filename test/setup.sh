#!/bin/sh
# Installs and starts what the tests need; quick when all is there. Run as root
# from the repository's root, after `make build`. Debian and Ubuntu.
set -eu

PATH=$PATH:/usr/sbin:/sbin
need() { # need COMMAND PACKAGE...
	command -v "$1" >/dev/null 2>&1 || { shift; missing="${missing:-} $*"; }
}
need gcc gcc libc6-dev # the race detector
need mmdebstrap mmdebstrap
need pgrep procps
need patchelf patchelf
need chromium chromium fonts-noto-cjk
need sudo sudo
need useradd passwd
need setfacl acl
need shellcheck shellcheck
need curl curl ca-certificates
need docker-registry docker-registry
need dockerd docker.io iptables
need docker-compose docker-compose
need ip iproute2
need npm npm
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need sshd openssh-server openssh-client
need rsync rsync
/usr/bin/python3 -c "import ipykernel, jupyter_client" 2>/dev/null || missing="${missing:-} python3-ipykernel" # a kernel that prints
[ -e /usr/include/security/pam_appl.h ] || missing="${missing:-} libpam0g-dev"
[ -n "$(ls /usr/share/fonts/opentype/noto/NotoSansCJK* 2>/dev/null)" ] || missing="${missing:-} fonts-noto-cjk"
if [ -n "${missing:-}" ]; then
	echo "setup: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# policy-rc.d keeps the packages from starting services of their own.
	[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; ours=1; }
	# shellcheck disable=SC2086 # a list of names
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
	# From Debian 13 on the client is a package of its own.
	command -v docker >/dev/null 2>&1 || apt-get install -y -qq --no-install-recommends docker-cli >/dev/null
	[ -z "${ours:-}" ] || rm -f /usr/sbin/policy-rc.d
fi

# A kernel with project quotas, as a process, where the machine's own has none.
if ! command -v linux.uml >/dev/null 2>&1 && ! modprobe -q quota_v2 2>/dev/null && ! grep -q '^CONFIG_QFMT_V2=y' "/boot/config-$(uname -r)" 2>/dev/null; then
	echo "setup: installing user-mode Linux (about 10 s)"
	apt-get install -y -qq --no-install-recommends user-mode-linux >/dev/null || echo "setup: there is none: disk limits are not tested"
fi

./bin/masu doctor --start-engine

# What the browser tests examine the pages with.
[ -d test/axe/node_modules ] || (cd test/axe && npm ci --silent --no-audit --no-fund)
# What attaches to boxes as an editor does.
[ -d test/devcontainer/node_modules ] || (cd test/devcontainer && npm ci --silent --no-audit --no-fund)

# The plainest Debian, from the distribution's own packages, for tests that need some image.
if ! docker image inspect masu-test/base >/dev/null 2>&1; then
	echo "setup: making masu-test/base (about 15 s)"
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io trixie "$tmp/base.tar"
	docker import -c 'CMD ["bash"]' "$tmp/base.tar" masu-test/base >/dev/null
fi

# A service for the tests, made of the distribution's own package.
if ! docker image inspect masu-test/redis >/dev/null 2>&1; then
	echo "setup: making masu-test/redis (about 10 s)"
	redis=$(mktemp -d)
	mmdebstrap --quiet --variant=essential --dpkgopt=force-unsafe-io --include=redis-server trixie "$redis/redis.tar"
	docker import -c 'CMD ["redis-server", "--protected-mode", "no", "--dir", "/data"]' -c 'VOLUME /data' "$redis/redis.tar" masu-test/redis >/dev/null
	rm -rf "$redis"
fi

# An engine that gives devices by CDI, where the host's own is too old: Debian 13's programs,
# which find the libraries that came with them, so that they run beside the host's.
engine=/var/lib/masu-test/engine
if [ "$(dockerd --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" -lt 25 ] && [ ! -e $engine/bin/dockerd ]; then
	echo "setup: fetching an engine with CDI (about 20 s)"
	rm -rf --one-file-system $engine
	mkdir -p $engine/bin
	mmdebstrap --quiet --variant=extract --include=docker.io trixie $engine/root
	loader=$(find $engine/root/usr/lib -name 'ld-linux-*.so.*' -type f)
	for p in sbin/runc bin/containerd bin/containerd-shim-runc-v2 bin/docker-proxy sbin/docker-proxy sbin/dockerd; do # dockerd last: with it all is there
		[ -e $engine/root/usr/$p ] || continue
		patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$(dirname "$loader")" $engine/root/usr/$p
		mv $engine/root/usr/$p $engine/bin
	done
fi

# Networks of labs that tests left behind: an engine has room for some thirty.
docker network prune -f --filter label=masu.lab >/dev/null
