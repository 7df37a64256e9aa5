package kube

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
)

// A side box is a pod of its own beside the box's, which knows it by an entry
// in its hosts file: no Service is needed, and nobody else has the name.

const labelSide = "masu.side"

// sideWithin is what a side box has to become ready.
const sideWithin = 2 * time.Minute

func sideName(id masu.WorkspaceID, side string) string { return podName(id) + "-" + side }

// startSides makes the side boxes anew and waits until each of them is ready; it gives their addresses for the box.
func (r *Runtime) startSides(ctx context.Context, b masu.Box) (hosts []corev1.HostAlias, err error) {
	if err := r.removeSides(ctx, b.ID); err != nil || len(b.Sides) == 0 {
		return nil, err
	}
	for i, s := range b.Sides {
		if _, err := r.Image(ctx, masu.ImageRef(s.Image)); err != nil {
			return nil, err
		}
		for _, m := range s.Mounts {
			if m.Volume != "" {
				if err := r.ensureVolume(ctx, b, m.Volume); err != nil {
					return nil, err
				}
			}
		}
		p, err := r.sidePod(b, s)
		if err != nil {
			return nil, err
		}
		if err := r.core.Post().Namespace(r.cfg.Namespace).Resource("pods").Body(p).Do(ctx).Into(p); err != nil {
			return nil, r.failed("start "+s.Name, err)
		}
		if i > 0 {
			continue
		}
		err = r.net.Post().Namespace(r.cfg.Namespace).Resource("networkpolicies").Body(besidePolicy(p)).Do(ctx).Error()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, r.failed("network policy", err)
		}
	}
	for _, s := range b.Sides {
		p, err := r.sideReady(ctx, b.ID, s.Name)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, corev1.HostAlias{IP: p.Status.PodIP, Hostnames: []string{s.Name}})
	}
	return hosts, nil
}

// sidePod translates a side box to the cluster's words.
func (r *Runtime) sidePod(b masu.Box, s masu.Side) (*corev1.Pod, error) {
	m, err := r.mountsOf(s.Mounts)
	if err != nil {
		return nil, err
	}
	no := false
	var env []corev1.EnvVar
	for _, k := range slices.Sorted(maps.Keys(s.Variables)) {
		env = append(env, corev1.EnvVar{Name: k, Value: strings.ReplaceAll(s.Variables[k], "$(", "$$(")})
	}
	c := corev1.Container{Name: boxContainer, Image: s.Image, Command: s.Entrypoint, Args: s.Command, WorkingDir: s.Dir, Env: env,
		Resources: resources(masu.Box{Limits: s.Limits}), VolumeMounts: m.mounts,
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"MKNOD", "NET_RAW", "SYS_CHROOT", "AUDIT_WRITE", "SETFCAP"}}}}
	if r.cfg.Restricted {
		c.SecurityContext = r.security(false)
	}
	if len(s.Health) > 0 {
		c.ReadinessProbe = &corev1.Probe{PeriodSeconds: 2, TimeoutSeconds: 10, FailureThreshold: 5,
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: s.Health}}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: sideName(b.ID, s.Name),
			Labels: map[string]string{labelManaged: "masu", labelLab: r.cfg.Lab, labelWorkspace: string(b.ID), labelSide: s.Name}},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyOnFailure, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, Hostname: s.Name,
			SecurityContext: r.podSecurity(b.Owner), Containers: []corev1.Container{c}, Volumes: m.volumes},
	}, nil
}

// besidePolicy lets a box and its side boxes reach each other, which the lab's
// fence does not. It belongs to one of them, so that the cluster removes it with that.
func besidePolicy(side *corev1.Pod) *networkingv1.NetworkPolicy {
	together := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
		labelLab: side.Labels[labelLab], labelWorkspace: side.Labels[labelWorkspace]}}}}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: side.Name + "-" + digest(side.UID)[:8], Labels: side.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: side.Name, UID: side.UID}}},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *together[0].PodSelector,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: together}},
			Egress:      []networkingv1.NetworkPolicyEgressRule{{To: together}},
		},
	}
}

// sideReady waits for one; Conflict "side_died", Unreachable "side_unready".
func (r *Runtime) sideReady(ctx context.Context, id masu.WorkspaceID, side string) (p *corev1.Pod, err error) {
	wait, cancel := context.WithTimeout(ctx, sideWithin)
	defer cancel()
	var died *corev1.ContainerStateTerminated
	err = r.await(wait, sideName(id, side), func(now *corev1.Pod) bool {
		p = now
		if now == nil {
			return true
		}
		if c := container(now); c != nil {
			died = c.LastTerminationState.Terminated
			if c.State.Terminated != nil {
				died = c.State.Terminated
			}
		}
		return died != nil || ready(now)
	})
	switch {
	case p == nil && err == nil:
		return nil, masu.E(masu.Conflict, "side_died", side, 137, "")
	case died != nil:
		return nil, masu.E(masu.Conflict, "side_died", side, died.ExitCode, r.lastWords(ctx, id, side))
	case wait.Err() != nil && ctx.Err() == nil:
		return nil, masu.E(masu.Unreachable, "side_unready", side, r.lastWords(ctx, id, side)).Because(err)
	}
	return p, err
}

// lastWords are the last lines that a side box has printed.
func (r *Runtime) lastWords(ctx context.Context, id masu.WorkspaceID, side string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick)
	defer cancel()
	last := int64(3)
	raw, err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").Name(sideName(id, side)).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: boxContainer, TailLines: &last}, parameters).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// sidePods lists what runs beside a box.
func (r *Runtime) sidePods(ctx context.Context, id masu.WorkspaceID) (*corev1.PodList, error) {
	var l corev1.PodList
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").VersionedParams(&metav1.ListOptions{
		LabelSelector: labelLab + "=" + r.cfg.Lab + "," + labelWorkspace + "=" + string(id) + "," + labelSide}, parameters).Do(ctx).Into(&l)
	return &l, r.failed("side boxes", err)
}

// removeSides ends what runs beside a box: nothing of it is kept but its volumes.
func (r *Runtime) removeSides(ctx context.Context, id masu.WorkspaceID) error {
	l, err := r.sidePods(ctx, id)
	if err != nil {
		return err
	}
	for i := range l.Items {
		if err := r.delete(ctx, &l.Items[i], time.Second); err != nil {
			return err
		}
	}
	return nil
}

// sideStatus is how a side box stands.
func sideStatus(p *corev1.Pod) masu.SideStatus {
	s := masu.SideStatus{Name: p.Labels[labelSide], State: masu.SideStarting}
	c := container(p)
	if c == nil {
		return s
	}
	s.Restarts = int(c.RestartCount)
	switch t := c.State.Terminated; {
	case t != nil:
		s.State, s.ExitCode, s.OOM = masu.SideEnded, int(t.ExitCode), t.Reason == "OOMKilled"
	case c.Ready:
		s.State = masu.SideReady
	case c.State.Running != nil && c.Started != nil && *c.Started:
		s.State = masu.SideUnwell
	}
	return s
}

// SideLogs is Logs of a side box; NotFound "no_side".
func (r *Runtime) SideLogs(ctx context.Context, id masu.WorkspaceID, side string, w io.Writer, follow bool) error {
	l, err := r.sidePods(ctx, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(l.Items, func(p corev1.Pod) bool { return p.Labels[labelSide] == side })
	if i < 0 {
		return masu.E(masu.NotFound, "no_side", side)
	}
	return r.logs(ctx, &l.Items[i], w, follow)
}

// Volumes names the claims that were made for a box.
func (r *Runtime) Volumes(ctx context.Context, id masu.WorkspaceID) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.PersistentVolumeClaimList
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("persistentvolumeclaims").VersionedParams(&metav1.ListOptions{
		LabelSelector: labelLab + "=" + r.cfg.Lab + "," + labelWorkspace + "=" + string(id)}, parameters).Do(ctx).Into(&l)
	if err != nil {
		return nil, r.failed("volumes", err)
	}
	var names []string
	for _, c := range l.Items {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names, nil
}

// mountsOf brings volumes and shared folders into a side box.
func (r *Runtime) mountsOf(mounts []masu.Mount) (m mounting, err error) {
	for i, want := range mounts {
		if err := r.mount(&m, i, want); err != nil {
			return m, err
		}
	}
	return m, nil
}
