#!/bin/bash
# build.sh DIR [kueue]: a Kubernetes control plane, kubelet and kubectl in one program, from Go modules alone, and beside it the
# test's GPU plugin, what holds a pod, and a builder of images; with kueue that too. The first time takes minutes; what is there of the same sources is kept.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$1"
out=$(cd "$1" && pwd)
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod -trimpath -gcflags=all=-dwarf=false" # what debuggers read is a sixth of the work
export GOGC=${GOGC:-400} GOMEMLIMIT=${GOMEMLIMIT:-3GiB} # and another fifth, that the compiler collects its garbage
made() { [ "$(cat "$out/key.$1" 2>/dev/null)" = "$(key "$1")" ]; }
key() { if [ "$1" = kueue ]; then cat kueue/*; else cat go.mod go.sum builder/go.mod ./*/*.go; fi | cat - build.sh | sha256sum | cut -c1-16; }
if ! made kubeall; then
	v=$(sed -nE 's|^\tk8s.io/kubernetes v([0-9.]+)$|\1|p' go.mod)
	minor=${v#1.}
	x=k8s.io/component-base/version
	go build -p 2 -ldflags "-s -w -X $x.gitVersion=v$v -X $x.gitMajor=1 -X $x.gitMinor=${minor%%.*}" -o "$out/kubeall" ./kubeall
	go build -p 2 -ldflags "-s -w" -o "$out/" ./fakegpu ./pause ./provision
	(cd builder && go build -p 2 -ldflags "-s -w" -o "$out/" github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl)
	key kubeall >"$out/key.kubeall"
fi
if [ "${2:-}" = kueue ] && ! made kueue; then
	(cd kueue && go build -p 2 -ldflags "-s -w" -o "$out/" sigs.k8s.io/kueue/cmd/kueue)
	rm -rf "$out/kueue.crd"
	cp -r --no-preserve=mode "$(cd kueue && go list -m -f '{{.Dir}}' sigs.k8s.io/kueue)/config/components/crd/bases" "$out/kueue.crd"
	key kueue >"$out/key.kueue"
fi
