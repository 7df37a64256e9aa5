#!/bin/sh
# docker_run.sh [COMMAND...]: a fresh container that is gone when the command
# ends; without a command a shell. Names, ports and GPUs stand in .env.
set -eu
cd "$(dirname "$0")"
. ./.env
# free FIRST-LAST: the first port of the span that nobody listens on.
free() {
	p=${1%-*}
	while [ "$p" -le "${1#*-}" ]; do
		grep -qs ":$(printf %04X "$p") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 || { echo "$p"; return; }
		p=$((p + 1))
	done
	echo "No port of $1 is free." >&2
	return 1
}

name=${SUDO_USER:-$(id -un)}
work=$(cd "$WORK_DIR" && pwd)
jupyter=$(free "$JUPYTER_PORTS") tensorboard=$(free "$TENSORBOARD_PORTS")
[ $# -gt 0 ] || set -- bash
[ -z "$GPUS" ] || set -- --gpus "$GPUS" "$IMAGE_NAME:$IMAGE_TAG" "$@"
[ -n "$GPUS" ] || set -- "$IMAGE_NAME:$IMAGE_TAG" "$@"
[ ! -t 0 ] || set -- -t "$@"
exec docker run --rm -i --init --name "$CONTAINER_NAME" --shm-size "$SHM_SIZE" \
	-p "$BIND_ADDRESS:$jupyter:8888" -p "$BIND_ADDRESS:$tensorboard:6006" \
	-v "$work:/home/$name/work" "$@"
