#!/bin/sh
# compose_up.sh: builds the image, and makes and starts the container, in one
# go. Jupyter starts in it. More options go to "up".
set -eu
cd "$(dirname "$0")"
. ./.env
USER_NAME=${SUDO_USER:-$(id -un)} USER_UID=${SUDO_UID:-$(id -u)} USER_GID=${SUDO_GID:-$(id -g)}
[ "$USER_UID" != 0 ] || { echo 'Run this as yourself or with sudo: the image gets your account, and root is none.' >&2; exit 1; }

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

# port CONTAINER_PORT SPAN: the one that the container has already, or a free one.
port() {
	old=$(docker port "$CONTAINER_NAME" "$1" 2>/dev/null | head -n 1)
	if [ -n "$old" ]; then echo "${old##*:}"; else free "$2"; fi
}
PORT_JUPYTER=$(port 8888 "$JUPYTER_PORTS")
PORT_TENSORBOARD=$(port 6006 "$TENSORBOARD_PORTS")
export USER_NAME USER_UID USER_GID PORT_JUPYTER PORT_TENSORBOARD

compose() {
	if docker compose version >/dev/null 2>&1; then docker compose -f compose.yml "$@"; else docker-compose -f compose.yml "$@"; fi
}
compose up -d --build "$@"
echo "Jupyter: http://localhost:$PORT_JUPYTER"
echo "Token, if you have set no password: docker logs $CONTAINER_NAME"
echo "Shell: docker exec -it $CONTAINER_NAME bash    End: docker stop $CONTAINER_NAME"
