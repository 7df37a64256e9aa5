#!/bin/bash
# down.sh BIN STATE [--purge]: stops what up.sh started (only the processes whose ids it recorded), and remove its mounts, bridges and cgroups.
B=$1 S=$2; cd "$S" 2>/dev/null || exit 0
K="$B/kubeall kubectl --kubeconfig $S/admin.kubeconfig"
ls -d n[0-9]* >/dev/null 2>&1 && timeout 60 $K delete pod -A --all --grace-period=1 --wait >/dev/null 2>&1
alive() { [ -d "/proc/$1" ] && ! grep -q "^State:.Z" "/proc/$1/status" 2>/dev/null; } # a zombie that pid 1 has not reaped yet is dead
stop() { for f in "$@"; do [ -f "pid/$f" ] || continue; p=$(cat "pid/$f"); kill "$p" 2>/dev/null; s=$(date +%s%N); for i in $(seq 200); do alive "$p" || break; sleep 0.05; done; alive "$p" && kill -9 "$p"; rm -f "pid/$f"; [ -z "${DEBUG:-}" ] || echo "$f stopped after $(( ($(date +%s%N)-s)/1000000 )) ms"; done; }
for d in n[0-9]*/; do [ -d "$d" ] || continue; n=${d%/}
  stop "$n-fakegpu" "$n-kubelet"
  s=/run/masu-k8s/$n/containerd.sock
  for t in $(ctr -a "$s" -n k8s.io tasks ls -q 2>/dev/null); do ctr -a "$s" -n k8s.io tasks kill -s KILL "$t" 2>/dev/null; ctr -a "$s" -n k8s.io tasks rm -f "$t" 2>/dev/null; done
  stop "$n-containerd"
  ip link del "masuk${n#n}" 2>/dev/null; ip addr del "10.199.0.${n#n}/32" dev lo 2>/dev/null
  rm -rf "/run/masu-k8s/$n"
done
stop kueue provision registry sched kcm apiserver etcd
for c in /sys/fs/cgroup/*/masu-k8s; do [ -d "$c" ] && find "$c" -depth -type d -exec rmdir {} + 2>/dev/null; done
rmdir /run/masu-k8s 2>/dev/null
[ "${3:-}" = --purge ] && { mount | awk -v s="$S" '$3 ~ "^"s {print $3}' | sort -r | xargs -r umount 2>/dev/null; rm -rf "$S"; }
exit 0
