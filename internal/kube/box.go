package kube

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/masu-lab/masu"
)

// list gives the pods of this lab's boxes.
func (r *Runtime) list(ctx context.Context) (*corev1.PodList, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.PodList
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").VersionedParams(r.mine(), parameters).Do(ctx).Into(&l)
	return &l, r.failed("list", err)
}

func (r *Runtime) mine() *metav1.ListOptions {
	return &metav1.ListOptions{LabelSelector: labelLab + "=" + r.cfg.Lab + "," + labelWorkspace}
}

// boxOf tells which box a pod is. A pod that only bears our labels has not the name.
func boxOf(p *corev1.Pod) (masu.WorkspaceID, bool) {
	id := masu.WorkspaceID(p.Labels[labelWorkspace])
	return id, p.Name == podName(id)
}

// Boxes tells the truth about every box of this lab, from the API server.
func (r *Runtime) Boxes(ctx context.Context) ([]masu.BoxStatus, error) {
	l, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	var out []masu.BoxStatus
	sides := map[masu.WorkspaceID][]masu.SideStatus{}
	for i := range l.Items {
		switch id, ok := boxOf(&l.Items[i]); {
		case ok:
			out = append(out, status(&l.Items[i]))
		case l.Items[i].Labels[labelSide] != "":
			sides[id] = append(sides[id], sideStatus(&l.Items[i]))
		}
	}
	for i := range out {
		out[i].Sides = sides[out[i].ID]
	}
	return out, nil
}

// Box tells the truth about one box.
func (r *Runtime) Box(ctx context.Context, id masu.WorkspaceID) (masu.BoxStatus, error) {
	p, err := r.find(ctx, id)
	if err == nil && p == nil {
		err = masu.E(masu.NotFound, "no_box", id)
	}
	if err != nil {
		return masu.BoxStatus{}, err
	}
	s := status(p)
	l, err := r.sidePods(ctx, id)
	for i := range l.Items {
		s.Sides = append(s.Sides, sideStatus(&l.Items[i]))
	}
	return s, err
}

func status(p *corev1.Pod) masu.BoxStatus {
	id, _ := boxOf(p)
	s := masu.BoxStatus{
		ID:     id,
		Owner:  masu.Username(p.Annotations[noteOwner]),
		Name:   p.Annotations[noteName],
		Run:    p.Annotations[noteRun] == "true",
		State:  masu.BoxCreated,
		Image:  p.Annotations[noteImage],
		Spec:   p.Annotations[noteSpec],
		Handle: string(p.UID),
		GPUs:   split(p.Annotations[noteGPUs]),
	}
	c := container(p)
	switch {
	case ended(p):
		s.State = masu.BoxExited
		s.EndedAt = endOf(p)
		if c != nil && c.State.Terminated != nil {
			t := c.State.Terminated
			s.StartedAt, s.ExitCode, s.OOM = t.StartedAt.Time, int(t.ExitCode), t.Reason == "OOMKilled"
		} else {
			s.ExitCode = 137 // the node has lost it
		}
	case running(p):
		s.State, s.StartedAt = masu.BoxRunning, c.State.Running.StartedAt.Time
	case p.DeletionTimestamp == nil:
		s.Waits = waits(p)
	}
	return s
}

// container is how the box's own container stands; nil before the node has said so.
func container(p *corev1.Pod) *corev1.ContainerStatus {
	for i := range p.Status.ContainerStatuses {
		if c := &p.Status.ContainerStatuses[i]; c.Name == boxContainer {
			return c
		}
	}
	return nil
}

func running(p *corev1.Pod) bool {
	c := container(p)
	return c != nil && c.State.Running != nil
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// endOf is when a pod that has ended did so; one that its node has lost has no better time than the last that is known.
func endOf(p *corev1.Pod) time.Time {
	if c := container(p); c != nil && c.State.Terminated != nil && !c.State.Terminated.FinishedAt.IsZero() {
		return c.State.Terminated.FinishedAt.Time
	}
	at := p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		if c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time
		}
	}
	return at
}

// live gives the pod of a box that runs; NotFound "no_box", Conflict "box_not_running".
func (r *Runtime) live(ctx context.Context, id masu.WorkspaceID) (*corev1.Pod, error) {
	p, err := r.find(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, masu.E(masu.NotFound, "no_box", id)
	case !running(p):
		return nil, masu.E(masu.Conflict, "box_not_running", p.Annotations[noteName])
	}
	return p, nil
}

// Changes watches the lab's pods. It begins with every box there is; a watch
// that the API server ends, as it does now and then, is begun anew, from the
// list again, so that nothing is missed. See masu.Runner.
func (r *Runtime) Changes(ctx context.Context) iter.Seq2[masu.WorkspaceID, error] {
	return func(yield func(masu.WorkspaceID, error) bool) {
		for ctx.Err() == nil {
			l, err := r.list(ctx)
			if err != nil {
				if ctx.Err() == nil {
					yield("", err)
				}
				return
			}
			for i := range l.Items {
				if id, ok := boxOf(&l.Items[i]); ok && !yield(id, nil) {
					return
				}
			}
			more, err := r.follow(ctx, l.ResourceVersion, yield)
			if err != nil && ctx.Err() == nil {
				yield("", err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// follow passes on what changes from a version on, until the watch ends; more is false when nobody wants it any more.
func (r *Runtime) follow(ctx context.Context, version string, yield func(masu.WorkspaceID, error) bool) (more bool, err error) {
	o := r.mine()
	o.Watch, o.ResourceVersion, o.AllowWatchBookmarks = true, version, true
	w, err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").VersionedParams(o, parameters).Watch(ctx)
	if err != nil {
		return true, r.failed("watch", err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return true, r.failed("watch", err)
			}
			return true, nil // it begins anew
		}
		p, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == watch.Bookmark {
			continue
		}
		if id, ours := boxOf(p); (ours || p.Labels[labelSide] != "") && !yield(id, nil) {
			return false, nil
		}
	}
	return true, nil
}

// Logs copies what the box has printed, both its streams in the order in which
// the node got them; NotFound "no_box".
func (r *Runtime) Logs(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	p, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	if p == nil {
		return masu.E(masu.NotFound, "no_box", id)
	}
	return r.logs(ctx, p, w, follow)
}

// logs copies what a pod's container has printed.
func (r *Runtime) logs(ctx context.Context, p *corev1.Pod, w io.Writer, follow bool) error {
	c := container(p)
	if c == nil || c.State.Waiting != nil && c.RestartCount == 0 {
		return nil // it has said nothing yet
	}
	body, err := r.core.Get().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: boxContainer, Follow: follow}, parameters).Stream(ctx)
	if err == nil {
		_, err = io.Copy(w, body)
		err = errors.Join(err, body.Close())
	}
	if follow && ctx.Err() != nil {
		return nil // the end that was asked for
	}
	return r.failed("logs", err)
}
