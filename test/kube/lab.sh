#!/bin/bash
# lab.sh BIN STATE: what the tests have on the cluster of up.sh: the namespace masu-test, a builder of images in it, the
# plainest image in the registry, and this host's /home as storage of the namespace masu-story. Needs the engine.
set -euo pipefail
B=$(cd "$1" && pwd) S=$(cd "$2" && pwd)
reg=$(cat "$S/registry.address") K="$B/kubeall kubectl --kubeconfig $S/admin.kubeconfig"
docker build -q -t masu-test/builder -f - "$B" >"$S/log/lab.log" 2>&1 <<D || { cat "$S/log/lab.log"; exit 1; }
FROM masu-test/base
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends runc procps ca-certificates >/dev/null && rm -rf /var/lib/apt/lists/*
COPY buildkitd buildctl /usr/local/bin/
RUN mkdir -p /etc/buildkit && printf '[registry."$reg"]\nhttp = true\n' >/etc/buildkit/buildkitd.toml
D
for i in base builder; do
	docker tag masu-test/$i "$reg/masu/masu-test/$i"
	docker push -q "$reg/masu/masu-test/$i" >/dev/null
	docker rmi "$reg/masu/masu-test/$i" >/dev/null # but for its own name
done
$K apply -f - >/dev/null <<Y
apiVersion: v1
kind: Namespace
metadata: {name: masu-test}
---
apiVersion: v1
kind: Pod
metadata: {name: buildkitd, namespace: masu-test, labels: {app: masu-buildkit}}
spec:
  hostNetwork: true
  containers:
  - name: buildkitd
    image: $reg/masu/masu-test/builder
    command: [buildkitd]
    securityContext: {privileged: true}
    volumeMounts: [{name: cache, mountPath: /var/lib/buildkit}] # layers over one another need a file system that is none itself
    readinessProbe: {periodSeconds: 1, timeoutSeconds: 5, exec: {command: [buildctl, debug, workers]}}
  volumes: [{name: cache, emptyDir: {}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: masu-story}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: homes}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: homes
  hostPath: {path: /home}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: homes, namespace: masu-story}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: homes
  resources: {requests: {storage: 1Gi}}
Y
$K -n masu-test wait --for=condition=Ready pod/buildkitd --timeout=180s >/dev/null
