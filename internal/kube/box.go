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

const (
	podPage = 500 // pods that are read at once: a lab may have thousands
	// compact is asked for where answers are long; it takes a fraction of JSON's time and memory.
	compact = "application/vnd.kubernetes.protobuf,application/json"
)

// list gives the pods of this lab's boxes.
func (r *Runtime) list(ctx context.Context) (*corev1.PodList, error) {
	var l corev1.PodList
	_, err := r.each(ctx, func(p *corev1.Pod) bool {
		l.Items = append(l.Items, *p)
		return true
	})
	return &l, err
}

// each goes through them page by page, which are all of one moment, until f has
// enough, and gives the version from which a watch goes on.
func (r *Runtime) each(ctx context.Context, f func(*corev1.Pod) bool) (version string, err error) {
	o := r.mine()
	for o.Limit = podPage; ; {
		l, err := r.page(ctx, o)
		if err != nil {
			return "", r.failed("list", err)
		}
		for i := range l.Items {
			if !f(&l.Items[i]) {
				return l.ResourceVersion, nil
			}
		}
		if o.Continue = l.Continue; o.Continue == "" {
			return l.ResourceVersion, nil
		}
	}
}

func (r *Runtime) page(ctx context.Context, o *metav1.ListOptions) (*corev1.PodList, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.PodList
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").SetHeader("Accept", compact).VersionedParams(o, parameters).Do(ctx).Into(&l)
	return &l, err
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
	var out []masu.BoxStatus
	sides := map[masu.WorkspaceID][]masu.SideStatus{}
	if _, err := r.each(ctx, func(p *corev1.Pod) bool {
		switch id, ok := boxOf(p); {
		case ok:
			out = append(out, status(p))
		case p.Labels[labelSide] != "":
			sides[id] = append(sides[id], sideStatus(p))
		}
		return true
	}); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Sides = sides[out[i].ID]
	}
	r.gauges.saw(out)
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
	if s.Waits != nil && gated(p) {
		s.Waits = r.queued(ctx, p)
	}
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

// Changes watches the lab's pods. It begins with every box there is. A watch
// that the API server ends, as it does now and then, goes on from the version
// that was last told; only where the API server no longer knows that one does it
// begin with the list again. So nothing is missed. See masu.Runner.
func (r *Runtime) Changes(ctx context.Context) iter.Seq2[masu.WorkspaceID, error] {
	return func(yield func(masu.WorkspaceID, error) bool) {
		more, version := true, ""
		for more && ctx.Err() == nil {
			var err error
			if version == "" {
				version, err = r.each(ctx, func(p *corev1.Pod) bool {
					id, ok := boxOf(p)
					more = !ok || yield(id, nil)
					return more
				})
			}
			if err == nil && more {
				version, more, err = r.follow(ctx, version, yield)
			}
			if err != nil {
				if ctx.Err() == nil {
					yield("", err)
				}
				return
			}
		}
	}
}

// follow passes on what changes from a version on, until the watch ends. It
// gives the version that it came to, "" if that is known no more; more is false
// when nobody wants it any more.
func (r *Runtime) follow(ctx context.Context, version string, yield func(masu.WorkspaceID, error) bool) (last string, more bool, err error) {
	o := r.mine()
	o.Watch, o.ResourceVersion, o.AllowWatchBookmarks = true, version, true
	w, err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").SetHeader("Accept", compact).VersionedParams(o, parameters).Watch(ctx)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return "", true, nil
	}
	if err != nil {
		return "", true, r.failed("watch", err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return "", true, r.failed("watch", err)
			}
			return "", true, nil
		}
		p, ok := e.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		version = p.ResourceVersion
		if e.Type == watch.Bookmark {
			continue
		}
		if id, ours := boxOf(p); (ours || p.Labels[labelSide] != "") && !yield(id, nil) {
			return "", false, nil
		}
	}
	return version, true, nil
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
