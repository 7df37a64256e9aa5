#!/bin/sh
# apt.sh FILE: installs the packages that FILE lists, one a line.
set -eu
export DEBIAN_FRONTEND=noninteractive

update() {
	# A source that does not answer is a warning: what matters is whether the packages can be had.
	apt-get update -o Acquire::Languages=none -o Acquire::Retries=3 || echo 'apt.sh: a package source did not answer' >&2
}

install() {
	# shellcheck disable=SC2046 # the names have no blanks
	apt-get install -y --no-install-recommends -o Acquire::Retries=3 -o APT::Keep-Downloaded-Packages=true -- $(cat "$1")
}

lock=/opt/recipe/setup/lock-apt.txt

# gone names a package whose locked version is not to be had.
gone() {
	# shellcheck disable=SC2046 # as above
	LC_ALL=C apt-get install -s --no-install-recommends $(sed 's/ /=/' $lock) 2>&1 |
		sed -n "s/^E: Version '\(.*\)' for '\(.*\)' was not found\$/\2 \1/p; s/^E: Unable to locate package \(.*\)\$/\1 -/p" | head -n 1
}

# held ends the build when a locked version is not to be had: apt would take another one.
held() {
	[ -s $lock ] || return 0
	missing=$(gone)
	[ -z "$missing" ] || {
		echo "lock: apt $missing is not to be had"
		exit 86
	}
}

[ -s "$1" ] || exit 0
# Lists of the last hour, from an earlier build's cache, are new enough; when they turn out not to be, they are fetched again.
[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -60 2>/dev/null | head -n 1)" ] || update
if [ -s $lock ]; then
	sed 's/^\([^ ]*\) \(.*\)/Package: \1\nPin: version \2\nPin-Priority: 1001\n/' $lock >/etc/apt/preferences.d/recipe-lock
	[ -z "$(gone)" ] || update
fi
held
install "$1" || {
	update
	held
	install "$1"
}
# Without a cache mount the downloads would stay in the image.
grep -q ' /var/cache/apt ' /proc/mounts || apt-get clean
grep -q ' /var/lib/apt/lists ' /proc/mounts || rm -rf /var/lib/apt/lists/*
