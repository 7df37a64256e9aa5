package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/masu-lab/masu"
)

var boxID = regexp.MustCompile(`^[a-z0-9]{1,40}$`) // it becomes part of names

// Start makes the box's pod; see masu.Runner. It returns when the cluster has
// taken the pod: the wait for a node, or for GPUs, is the cluster's, and Box
// tells how it stands. It fails with NotFound "no_image", Conflict
// "box_name_taken", Invalid "folder_not_shared", Denied "cluster_refuses" (a
// quota, Pod Security).
func (r *Runtime) Start(ctx context.Context, b masu.Box) error {
	if !boxID.MatchString(string(b.ID)) {
		return fmt.Errorf("kube: %q cannot be a box's ID", b.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	old, err := r.find(ctx, b.ID)
	if err != nil {
		return err
	}
	want, err := r.pod(b)
	if err != nil {
		return err
	}
	if old != nil && old.DeletionTimestamp == nil && !ended(old) && old.Annotations[noteSpec] == want.Annotations[noteSpec] {
		return nil
	}
	if _, err := r.Image(ctx, masu.ImageRef(b.Image)); err != nil { // a pod would wait for it for ever
		return err
	}
	if err := r.fence(ctx); err != nil {
		return err
	}
	for _, m := range b.Mounts {
		if m.Volume != "" {
			if err := r.ensureVolume(ctx, b, m.Volume); err != nil {
				return err
			}
		}
	}
	if old != nil {
		if err := r.delete(ctx, old, replaceGrace); err != nil {
			return err
		}
	}
	if want.Spec.HostAliases, err = r.startSides(ctx, b); err != nil {
		return errors.Join(err, r.removeSides(context.WithoutCancel(ctx), b.ID))
	}
	err = r.core.Post().Namespace(r.cfg.Namespace).Resource("pods").Body(want).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		now, err := r.find(ctx, b.ID)
		if err != nil || now != nil && now.Annotations[noteSpec] == want.Annotations[noteSpec] {
			return err // somebody else has just made an equal one
		}
		return masu.E(masu.Conflict, "box_name_taken", want.Name)
	}
	if err != nil {
		return errors.Join(r.failed("start", err), r.removeSides(context.WithoutCancel(ctx), b.ID))
	}
	return nil
}

// replaceGrace is what a running box gets to end when another one takes its place.
const replaceGrace = 10 * time.Second

// find gives the box's pod, nil if there is none. One that bears the name
// without being this lab's is Conflict "box_name_taken".
func (r *Runtime) find(ctx context.Context, id masu.WorkspaceID) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var p corev1.Pod
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").Name(podName(id)).Do(ctx).Into(&p)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("find", err)
	}
	if p.Labels[labelLab] != r.cfg.Lab || p.Labels[labelWorkspace] != string(id) {
		return nil, masu.E(masu.Conflict, "box_name_taken", p.Name)
	}
	return &p, nil
}

// Stop asks the agent to end the box, and ends it after grace; the pod stays
// as the record of how it went. See masu.Runner.
func (r *Runtime) Stop(ctx context.Context, id masu.WorkspaceID, grace time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, grace+slow)
	defer cancel()
	p, err := r.find(ctx, id)
	if err != nil || p == nil {
		return ignoreForeign(err)
	}
	defer func() { err = errors.Join(err, r.removeSides(ctx, id)) }()
	if ended(p) {
		return nil
	}
	if running(p) && p.DeletionTimestamp == nil {
		if err := r.end(ctx, p, grace); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return r.delete(ctx, p, grace) // it has not begun, or does not answer
}

// end has the box's own first process end it, and waits until it is so.
func (r *Runtime) end(ctx context.Context, p *corev1.Pod, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+tidyUp)
	defer cancel()
	seconds := int((grace + time.Second - 1) / time.Second)
	asked := make(chan error, 1)
	go func() { // the command ends with the box, often before it could answer
		asked <- r.command(ctx, p, []string{masu.AgentPath, "agent", "end", fmt.Sprint(seconds)})
	}()
	defer func() { cancel(); <-asked }()
	return r.await(ctx, p.Name, func(now *corev1.Pod) bool { return now == nil || now.UID != p.UID || ended(now) })
}

// Remove ends the box at once and removes it; its volumes stay.
func (r *Runtime) Remove(ctx context.Context, id masu.WorkspaceID) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	p, err := r.find(ctx, id)
	if err != nil {
		return ignoreForeign(err)
	}
	if err := r.removeSides(ctx, id); err != nil || p == nil {
		return err
	}
	return r.delete(ctx, p, time.Second)
}

// delete removes a pod and waits until it has gone. On a node that does not
// answer it would stay for ever: then the API server is told to forget it.
func (r *Runtime) delete(ctx context.Context, p *corev1.Pod, grace time.Duration) error {
	seconds := max(1, int64((grace+time.Second-1)/time.Second))
	if p.Spec.NodeName == "" || ended(p) {
		seconds = 0 // nothing runs
	}
	gone := func(now *corev1.Pod) bool { return now == nil || now.UID != p.UID }
	order := func(seconds int64) error {
		err := r.core.Delete().Namespace(p.Namespace).Resource("pods").Name(p.Name).
			Body(&metav1.DeleteOptions{GracePeriodSeconds: &seconds, Preconditions: &metav1.Preconditions{UID: &p.UID}}).Do(ctx).Error()
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil // gone, or another one by now
		}
		return r.failed("remove", err)
	}
	if err := order(seconds); err != nil {
		return err
	}
	r.forward.drop(p.Name, nil)
	patient, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+tidyUp)
	defer cancel()
	if err := r.await(patient, p.Name, gone); err == nil || ctx.Err() != nil {
		return err
	}
	r.cfg.Log.Warn("a node does not end a box; it is forgotten", "pod", p.Name, "node", p.Spec.NodeName)
	if err := order(0); err != nil {
		return err
	}
	return r.await(ctx, p.Name, gone)
}

// await watches a pod until it is as wished; nil stands for none.
func (r *Runtime) await(ctx context.Context, name string, is func(*corev1.Pod) bool) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var p corev1.Pod
		err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").Name(name).Do(ctx).Into(&p)
		switch {
		case apierrors.IsNotFound(err):
			if is(nil) {
				return nil
			}
		case err != nil:
			return r.failed("await", err)
		case is(&p):
			return nil
		}
		select {
		case <-ctx.Done():
			return r.failed("await "+name, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// ignoreForeign: a pod that is not ours is, for Stop and Remove, no box at all.
func ignoreForeign(err error) error {
	if masu.CodeOf(err) == "box_name_taken" {
		return nil
	}
	return err
}

// ensureVolume claims a home.
func (r *Runtime) ensureVolume(ctx context.Context, b masu.Box, name string) error {
	c := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			labelLab: r.cfg.Lab, labelWorkspace: string(b.ID), labelManaged: "masu"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity(r.cfg.Storage.Size)}},
		},
	}
	if r.cfg.Storage.Class != "" {
		c.Spec.StorageClassName = &r.cfg.Storage.Class
	}
	err := r.core.Post().Namespace(r.cfg.Namespace).Resource("persistentvolumeclaims").Body(&c).Do(ctx).Error()
	if !apierrors.IsAlreadyExists(err) {
		return r.failed("volume", err)
	}
	old, err := r.claim(ctx, name)
	switch {
	case err != nil:
		return err
	case old == nil || old.DeletionTimestamp != nil:
		return masu.E(masu.Conflict, "volume_in_use", name) // it is on its way out: the next try makes a new one
	case old.Labels[labelLab] != r.cfg.Lab:
		return masu.E(masu.Denied, "volume_not_ours", name)
	}
	return nil
}

func (r *Runtime) claim(ctx context.Context, name string) (*corev1.PersistentVolumeClaim, error) {
	var c corev1.PersistentVolumeClaim
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("persistentvolumeclaims").Name(name).Do(ctx).Into(&c)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("volume", err)
	}
	return &c, nil
}

// RemoveVolume gives a home up. One that a box still has is Conflict
// "volume_in_use"; one that is not this lab's is Denied "volume_not_ours".
func (r *Runtime) RemoveVolume(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	c, err := r.claim(ctx, name)
	if err != nil || c == nil {
		return err
	}
	if c.Labels[labelLab] != r.cfg.Lab {
		return masu.E(masu.Denied, "volume_not_ours", name)
	}
	pods, err := r.list(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		for _, v := range p.Spec.Volumes {
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name {
				return masu.E(masu.Conflict, "volume_in_use", name)
			}
		}
	}
	err = r.core.Delete().Namespace(r.cfg.Namespace).Resource("persistentvolumeclaims").Name(name).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &c.UID}}).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		return r.failed("volume", err)
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) { // the cluster lets go of it a moment later
		now, err := r.claim(ctx, name)
		if err != nil || now == nil || now.UID != c.UID {
			return err
		}
		select {
		case <-ctx.Done():
			return r.failed("volume", ctx.Err())
		case <-time.After(wait):
		}
	}
}

func quantity(b masu.Bytes) resource.Quantity {
	return *resource.NewQuantity(int64(b), resource.BinarySI)
}

// fence keeps boxes away from each other and from the cluster's own network, if
// the network plugin of the cluster holds it. One of an older masu is renewed.
func (r *Runtime) fence(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fenced {
		return nil
	}
	want := fencePolicy(r.cfg.Lab)
	at := func(v *rest.Request) *rest.Request { return v.Namespace(r.cfg.Namespace).Resource("networkpolicies") }
	err := at(r.net.Post()).Body(want).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		var old networkingv1.NetworkPolicy
		if err = at(r.net.Get()).Name(want.Name).Do(ctx).Into(&old); err == nil {
			want.ResourceVersion = old.ResourceVersion
			err = at(r.net.Put()).Name(want.Name).Body(want).Do(ctx).Error()
		}
	}
	r.fenced = err == nil
	return r.failed("network policy", err)
}
