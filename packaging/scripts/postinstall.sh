#!/bin/sh
set -e
# Boxes belong to the engine: a restart of the daemon never touches them.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable masu.service >/dev/null 2>&1 || true
	systemctl restart masu.service || echo "masu did not start; see: sudo masu doctor"
fi
