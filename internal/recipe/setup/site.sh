#!/bin/sh
# site.sh: the certificates and the mirror of the site.
set -eu
here=/opt/recipe
if [ -d $here/site ]; then
	mkdir -p /usr/local/share/ca-certificates /etc/ssl/certs
	for f in "$here"/site/*.crt; do
		[ -e "$f" ] || continue
		cp "$f" /usr/local/share/ca-certificates/
		# Until ca-certificates is there, a mirror behind the site's authority can be reached with this alone.
		[ -x /usr/sbin/update-ca-certificates ] || cat "$f" >>/etc/ssl/certs/ca-certificates.crt
	done
	if [ -e $here/site/apt-mirror ]; then
		# Archives below /debian or /ubuntu come from the mirror; others (security updates of Debian, NVIDIA's) stay.
		mirror=$(cat $here/site/apt-mirror)
		for f in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
			[ ! -f "$f" ] || sed -i -E "s#https?://[^/ ]+/(debian|ubuntu)/?( |\$)#$mirror\\2#" "$f"
		done
	fi
fi
