#!/bin/bash
# build.sh DIR: a Kubernetes control plane, kubelet and kubectl in one program, from Go modules alone, and beside it the
# test's GPU plugin and the program that holds a pod. The first time takes minutes; what is there of the same sources is kept.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$1"
out=$(cd "$1" && pwd)
key=$(cat go.mod go.sum builder/go.mod */*.go build.sh | sha256sum | cut -c1-16)
[ "$(cat "$out/key" 2>/dev/null)" != "$key" ] || exit 0
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod"
v=$(sed -nE 's|^\tk8s.io/kubernetes v([0-9.]+)$|\1|p' go.mod)
minor=${v#1.}
x=k8s.io/component-base/version
go build -p 2 -trimpath -ldflags "-s -w -X $x.gitVersion=v$v -X $x.gitMajor=1 -X $x.gitMinor=${minor%%.*}" -o "$out/kubeall" ./kubeall
for p in fakegpu pause provision; do
	go build -trimpath -ldflags "-s -w" -o "$out/$p" ./$p
done
(cd builder && go build -trimpath -ldflags "-s -w" -o "$out/" github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl)
echo "$key" >"$out/key"
