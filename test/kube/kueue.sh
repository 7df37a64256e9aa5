#!/bin/bash
# kueue.sh BIN STATE: Kueue for the namespace masu-kueue of the cluster of up.sh: one queue, lab, that may lend one GPU at a time.
set -euo pipefail
B=$(cd "$1" && pwd) S=$(cd "$2" && pwd)
K="$B/kubeall kubectl --kubeconfig $S/admin.kubeconfig" PORT=19443
cd "$S"
mkdir -p kueue/etc/kueue/metrics
[ -e pki/kueue.crt ] || { openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pki/kueue.key -subj /CN=kueue -out pki/kueue.csr 2>/dev/null
	openssl x509 -req -in pki/kueue.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -out pki/kueue.crt -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null; }
mkdir -p kueue/etc/kueue/metrics/certs
cp pki/kueue.crt kueue/etc/kueue/metrics/certs/tls.crt; cp pki/kueue.key kueue/etc/kueue/metrics/certs/tls.key
cat >kueue/config.yaml <<Y
apiVersion: config.kueue.x-k8s.io/v1beta1
kind: Configuration
health: {healthProbeBindAddress: "127.0.0.1:18081"}
metrics: {bindAddress: "127.0.0.1:18443"}
webhook: {host: 127.0.0.1, port: $PORT, certDir: $S/kueue/etc/kueue/metrics/certs}
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
integrations: {frameworks: [pod]}
resources: {excludeResourcePrefixes: [cpu, memory, ephemeral-storage]}
Y
$K apply --server-side -f "$B/kueue.crd" >/dev/null
$K wait --for=condition=Established crd --all --timeout=60s >/dev/null
# Kueue looks for its certificate in /etc: it gets an /etc of its own
cat >again/kueue.sh <<R
cd $S
nohup unshare -m sh -c 'mount --bind $S/kueue/etc /etc && exec $B/kueue --config kueue/config.yaml --kubeconfig $S/admin.kubeconfig --feature-gates=VisibilityOnDemand=false' >>log/kueue.log 2>&1 </dev/null & echo \$! >pid/kueue
R
bash again/kueue.sh
hook() { cat <<Y
- name: m$1.kb.io
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://127.0.0.1:$PORT/mutate-$2-$1", caBundle: $(base64 -w0 pki/ca.crt)}
  rules: [{apiGroups: ["$3"], apiVersions: ["$4"], operations: [CREATE], resources: ["$1s"]}]
Y
}
for _ in $(seq 300); do curl -sf -o /dev/null http://127.0.0.1:18081/readyz && break; sleep 0.2; kill -0 "$(cat pid/kueue)" || { tail -5 log/kueue.log; exit 1; }; done
{ printf 'apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: kueue}\nwebhooks:\n'
	hook pod -v1 "" v1; echo '  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: masu-kueue}}'
	for o in clusterqueue resourceflavor workload; do hook $o kueue-x-k8s-io-v1beta1 kueue.x-k8s.io v1beta1; done; } | $K apply -f - >/dev/null
$K apply -f - >/dev/null <<Y
apiVersion: v1
kind: Namespace
metadata: {name: masu-kueue}
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: WorkloadPriorityClass
metadata: {name: runs}
value: 10
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: ResourceFlavor
metadata: {name: gpu}
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: ClusterQueue
metadata: {name: lab}
spec:
  namespaceSelector: {}
  resourceGroups:
  - coveredResources: [nvidia.com/gpu]
    flavors: [{name: gpu, resources: [{name: nvidia.com/gpu, nominalQuota: 1}]}]
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: LocalQueue
metadata: {name: lab, namespace: masu-kueue}
spec: {clusterQueue: lab}
Y
