#!/bin/sh
# compose_up.sh: builds the image, and makes and starts the container, in one
# go. Jupyter starts in it. More options go to "up".
set -eu
cd "$(dirname "$0")"
. ./.env
USER_NAME=${SUDO_USER:-$(id -un)} USER_UID=${SUDO_UID:-$(id -u)} USER_GID=${SUDO_GID:-$(id -g)}
[ "$USER_UID" != 0 ] || { echo 'Run this as yourself or with sudo: the image gets your account, and root is none.' >&2; exit 1; }
export USER_NAME USER_UID USER_GID
compose() {
	if docker compose version >/dev/null 2>&1; then docker compose -f compose.yml "$@"; else docker-compose -f compose.yml "$@"; fi
}
compose up -d --build "$@"
echo "Jupyter: http://$(compose port lab 8888)"
echo "Token, if you have set no password: docker logs $CONTAINER_NAME"
echo "Shell: docker exec -it $CONTAINER_NAME bash    End: docker stop $CONTAINER_NAME"
