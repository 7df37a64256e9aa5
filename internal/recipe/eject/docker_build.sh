#!/bin/sh
# docker_build.sh [IMAGE:TAG]: builds the image, with your own account in it.
set -eu
cd "$(dirname "$0")"
. ./.env
name=${SUDO_USER:-$(id -un)} uid=${SUDO_UID:-$(id -u)} gid=${SUDO_GID:-$(id -g)}
[ "$uid" != 0 ] || { echo 'Run this as yourself or with sudo: the image gets your account, and root is none.' >&2; exit 1; }
image=${1:-$IMAGE_NAME:$IMAGE_TAG}
set --
for p in http_proxy https_proxy no_proxy; do
	if printenv "$p" >/dev/null; then set -- "$@" --build-arg "$p"; fi
done
docker build "$@" --build-arg USER_NAME="$name" --build-arg USER_UID="$uid" --build-arg USER_GID="$gid" -t "$image" .
