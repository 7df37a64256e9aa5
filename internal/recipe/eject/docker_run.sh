#!/bin/sh
# docker_run.sh [COMMAND...]: a fresh container that is gone when the command
# ends; without a command a shell. Names, ports and GPUs stand in .env.
set -eu
cd "$(dirname "$0")"
. ./.env
name=${SUDO_USER:-$(id -un)}
work=$(cd "$WORK_DIR" && pwd)
[ $# -gt 0 ] || set -- bash
[ -z "$GPUS" ] || set -- --gpus "$GPUS" "$IMAGE_NAME:$IMAGE_TAG" "$@"
[ -n "$GPUS" ] || set -- "$IMAGE_NAME:$IMAGE_TAG" "$@"
[ ! -t 0 ] || set -- -t "$@"
exec docker run --rm -i --init --name "$CONTAINER_NAME" --shm-size "$SHM_SIZE" \
	-p "$BIND_ADDRESS:$JUPYTER_PORTS:8888" -p "$BIND_ADDRESS:$TENSORBOARD_PORTS:6006" \
	-v "$work:/home/$name/work" "$@"
