#!/bin/sh
set -e
# An upgrade restarts the daemon afterwards; only a removal stops it.
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl disable --now masu.service >/dev/null 2>&1 || true; fi
	;;
esac
