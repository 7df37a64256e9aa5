#!/bin/bash
# up.sh BIN STATE [NODES [GPUS]]: starts a real Kubernetes control plane on the loopback, a registry, and real nodes n1, n2, …
# (each a mount namespace with its own containerd and kubelet, and GPUs that a test plugin makes up). BIN is build.sh's,
# STATE a folder. Needs root, openssl, containerd, runc, containernetworking-plugins, docker-registry and an engine (for one image).
set -euo pipefail
B=$(cd "$1" && pwd) K=$B/kubeall NODES=${3:-1} GPUS=${4:-2}
mkdir -p "$2"; S=$(cd "$2" && pwd)
API=16443 ETCD=12379 PEER=12380 KCM=10357 SCHED=10359 REG=15443
mkdir -p "$S"/{pki,log,pid,again}; cd "$S"; t0=$(date +%s.%N)
el() { printf '%6.1fs %s\n' "$(echo "$(date +%s.%N) - $t0" | bc 2>/dev/null || awk "BEGIN{print $(date +%s.%N)-$t0}")" "$*"; }
# what runs is also kept as a script under again/: a test that kills it starts it anew by that
again() { local n=$1; shift; { printf 'cd %q\nnohup' "$S"; printf ' %q' "$@"; printf ' >>log/%s.log 2>&1 </dev/null & echo $! >pid/%s\n' "$n" "$n"; } >"again/$n.sh"; }
run() { : >"log/$1.log"; again "$@"; bash "again/$1.sh"; }
# ---- certificates: one CA, one client certificate for each component -------------------------------------------------
cert() { # name subject [san]
  [ -f "pki/$1.crt" ] && return
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "pki/$1.key" -subj "$2" -out "pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -out "pki/$1.crt" \
    -extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; [ -z "${3:-}" ] || echo "subjectAltName=$3") 2>/dev/null; }
kubeconf() { cat >"$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: masu, cluster: {server: "https://127.0.0.1:$API", certificate-authority: $S/pki/ca.crt}}]
users: [{name: me, user: {client-certificate: $S/pki/$1.crt, client-key: $S/pki/$1.key}}]
contexts: [{name: masu, context: {cluster: masu, user: me}}]
current-context: masu
Y
chmod 600 "$1.kubeconfig"; }
[ -f pki/ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pki/ca.key -subj /CN=masu-test-ca -days 30 -out pki/ca.crt 2>/dev/null
[ -f pki/sa.key ] || openssl ecparam -name prime256v1 -genkey -noout -out pki/sa.key
cert apiserver "/CN=kube-apiserver" "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.202.0.1"
cert admin "/O=system:masters/CN=masu-admin"; cert kcm "/CN=system:kube-controller-manager"; cert sched "/CN=system:kube-scheduler"
cert apikubelet "/O=system:masters/CN=kube-apiserver-kubelet-client"
for c in admin kcm sched; do kubeconf $c; done
el "certificates ready"
# ---- control plane --------------------------------------------------------------------------------------------------
run etcd "$K" etcd --data-dir "$S/etcd" --listen-client-urls http://127.0.0.1:$ETCD --advertise-client-urls http://127.0.0.1:$ETCD \
  --listen-peer-urls http://127.0.0.1:$PEER --initial-advertise-peer-urls http://127.0.0.1:$PEER --initial-cluster default=http://127.0.0.1:$PEER --unsafe-no-fsync --log-level warn
run apiserver "$K" kube-apiserver --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port $API --etcd-servers http://127.0.0.1:$ETCD \
  --endpoint-reconciler-type none --allow-privileged --kubelet-preferred-address-types InternalIP --service-cluster-ip-range 10.202.0.0/16 --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --client-ca-file pki/ca.crt --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \
  --kubelet-client-certificate pki/apikubelet.crt --kubelet-client-key pki/apikubelet.key \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file pki/sa.key --service-account-signing-key-file pki/sa.key
KC="$K kubectl --kubeconfig $S/admin.kubeconfig"
for i in $(seq 600); do $KC get --raw /readyz >/dev/null 2>&1 && break; sleep 0.2; kill -0 "$(cat pid/apiserver)" || { tail -5 log/apiserver.log; exit 1; }; done
el "apiserver ready"
run kcm "$K" kube-controller-manager --kubeconfig kcm.kubeconfig --authentication-kubeconfig kcm.kubeconfig --authorization-kubeconfig kcm.kubeconfig --bind-address 127.0.0.1 --secure-port $KCM --leader-elect=false \
  --node-monitor-period 2s --node-monitor-grace-period 16s --use-service-account-credentials --service-account-private-key-file pki/sa.key --root-ca-file pki/ca.crt --allocate-node-cidrs=false
run sched "$K" kube-scheduler --kubeconfig sched.kubeconfig --authentication-kubeconfig sched.kubeconfig --authorization-kubeconfig sched.kubeconfig --bind-address 127.0.0.1 --secure-port $SCHED --leader-elect=false
for i in $(seq 300); do $KC -n default get sa default >/dev/null 2>&1 && break; sleep 0.2; done
el "controller-manager and scheduler ready"
# ---- registry and volumes -------------------------------------------------------------------------------------------
cat >registry.yaml <<Y
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $S/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$REG"}
Y
run registry docker-registry serve registry.yaml
mkdir -p volumes; run provision "$B/provision" -kubeconfig "$S/admin.kubeconfig" -dir "$S/volumes"
[ -f pause.tar ] || { tar -c -C "$B" pause | docker import -c 'ENTRYPOINT ["/pause"]' - masu.test/pause:1 >/dev/null; docker save masu.test/pause:1 -o pause.tar; }
# ---- nodes ----------------------------------------------------------------------------------------------------------
[ "$NODES" = 0 ] || for i in $(seq "$NODES"); do
  n=n$i; ip=10.199.0.$i; d=$S/$n; r=/run/masu-k8s/$n; cg=/masu-k8s/$n
  mkdir -p "$d"/{kubelet,containerd,cni,podlogs,volplugins} "$r"
  for c in /sys/fs/cgroup/*/; do [ -f "$c/cgroup.procs" ] && [ "$(stat -fc %T "$c")" = cgroupfs ] && mkdir -p "$c$cg"; done
  p=/sys/fs/cgroup/cpuset; [ -d $p ] && for q in $p/masu-k8s $p$cg; do cat $p/cpuset.cpus >$q/cpuset.cpus; cat $p/cpuset.mems >$q/cpuset.mems; done
  ip addr add $ip/32 dev lo 2>/dev/null || true
  cert $n "/O=system:nodes/CN=system:node:$n" "DNS:$n,IP:$ip"; kubeconf $n
  cat >"$d/cni/10-masu.conflist" <<J
{"cniVersion":"1.0.0","name":"masu$i","plugins":[{"type":"bridge","bridge":"masuk$i","isGateway":true,"ipMasq":false,"hairpinMode":true,
 "ipam":{"type":"host-local","dataDir":"$d/ipam","ranges":[[{"subnet":"10.201.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
J
  cat >"$d/containerd.toml" <<T
version = 2
root = "$d/containerd"
state = "$r/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$r/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "masu.test/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$d/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
T
  mkdir -p "$d/smi"; printf '#!/bin/sh\ncat "${0%%/*}/readings"\n' >"$d/smi/nvidia-smi"; chmod 755 "$d/smi/nvidia-smi"; echo "0, 0, 40, 60" >"$d/smi/readings"
  cat >"$d/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
healthzPort: 0
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $S/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $S/pki/$n.crt
tlsPrivateKeyFile: $S/pki/$n.key
containerRuntimeEndpoint: unix://$r/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: $cg
failCgroupV1: false
volumePluginDir: $d/volplugins
podLogsDir: $d/podlogs
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%", memory.available: "100Mi"}
resolvConf: /etc/resolv.conf
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
fileCheckFrequency: 2s
syncFrequency: 10s
Y
  # one mount namespace per node, so that the hard-wired /var/lib/kubelet (device plugins) is private to it
  cat >"$d/node.sh" <<N
#!/bin/bash
mount --make-rprivate / ; mkdir -p /var/lib/kubelet; mount --bind $d/kubelet /var/lib/kubelet; mount --make-rshared /var/lib/kubelet
rm -f /var/lib/kubelet/device-plugins/kubelet.sock; cd $S
nohup containerd -c $d/containerd.toml >log/$n-containerd.log 2>&1 & echo \$! >pid/$n-containerd
for i in \$(seq 100); do ctr -a $r/containerd.sock version >/dev/null 2>&1 && break; sleep 0.1; done
for t in $S/pause.tar; do [ $d/imported-\$(basename \$t) -nt \$t ] || { ctr -a $r/containerd.sock -n k8s.io images import \$t >/dev/null && touch $d/imported-\$(basename \$t); }; done
bash again/$n-kubelet.sh
for i in \$(seq 200); do [ -S /var/lib/kubelet/device-plugins/kubelet.sock ] && break; sleep 0.1; done
nohup $B/fakegpu -n $GPUS -node $n -smi $d/smi >log/$n-fakegpu.log 2>&1 & echo \$! >pid/$n-fakegpu
N
  again "$n-kubelet" "$K" kubelet --config "$d/kubelet.yaml" --kubeconfig "$S/$n.kubeconfig" --hostname-override "$n" --node-ip "$ip"
  unshare --mount --propagation private bash "$d/node.sh"
  el "node $n started"
done
[ "$NODES" = 0 ] || { $KC wait --for=condition=Ready node --all --timeout=120s >/dev/null
  for i in $(seq "$NODES"); do $KC wait --for=jsonpath='{.status.allocatable.nvidia\.com/gpu}'=$GPUS node/n$i --timeout=60s >/dev/null; done; el "all nodes Ready, GPUs advertised"; }
echo "127.0.0.1:$REG" >registry.address
el "ready: $S/admin.kubeconfig"
