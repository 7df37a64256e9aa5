#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "${1:-}" = purge ]; then
	rmdir /etc/masu 2>/dev/null || true
	echo "masu's records stay in /var/lib/masu; remove them yourself if you are sure."
fi
