package kube

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/masu-lab/masu"
)

const (
	haulTarget = "/volume"
	haulMost   = 24 * time.Hour // then the cluster ends a pod that a killed masu has left
)

var _ masu.Hauler = (*Runtime)(nil)

// PackVolume reads a claim through a pod that holds it; see masu.Hauler.
func (r *Runtime) PackVolume(ctx context.Context, v masu.Volume, tar io.Writer) error {
	c, err := r.claim(ctx, v.Name)
	switch {
	case err != nil:
		return err
	case c == nil:
		return masu.E(masu.NotFound, "no_volume", v.Name)
	case c.Labels[labelLab] != r.cfg.Lab:
		return masu.E(masu.Denied, "volume_not_ours", v.Name)
	}
	return r.holding(ctx, v, func(p *corev1.Pod) error {
		return r.haul(ctx, p, "pack", remotecommand.StreamOptions{Stdout: tar})
	})
}

// UnpackVolume claims a volume anew and fills it through a pod that holds it;
// see masu.Hauler.
func (r *Runtime) UnpackVolume(ctx context.Context, v masu.Volume, tar io.Reader) error {
	if err := r.release(ctx, v.Name); err != nil {
		return err
	}
	if err := r.RemoveVolume(ctx, v.Name); err != nil {
		return err
	}
	if err := r.ensureVolume(ctx, masu.Box{ID: v.Of}, v.Name); err != nil {
		return err
	}
	src := &feed{Reader: tar}
	err := r.holding(ctx, v, func(p *corev1.Pod) error {
		return r.haul(ctx, p, "unpack", remotecommand.StreamOptions{Stdin: src})
	})
	if broken := src.failure(); broken != nil {
		return broken
	}
	return err
}

// feed keeps a reader's error, which the stream to the pod would bury. The
// stream may still be reading when the command has ended.
type feed struct {
	io.Reader
	mu  sync.Mutex
	err error
}

// Read passes on.
func (f *feed) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err = err
	}
	return n, err
}

func (f *feed) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// haul runs the agent's part in the pod.
func (r *Runtime) haul(ctx context.Context, p *corev1.Pod, verb string, s remotecommand.StreamOptions) error {
	words := &strings.Builder{}
	s.Stderr = words
	code, err := r.stream(ctx, p, []string{"/masu", "agent", verb, haulTarget}, s)
	if err != nil {
		return r.failed(verb, err)
	}
	if code != 0 {
		return masu.E(masu.Invalid, "haul_failed", strings.TrimSpace(words.String()))
	}
	return nil
}

// holding does something with a pod in which a claim is mounted, and nothing runs.
func (r *Runtime) holding(ctx context.Context, v masu.Volume, do func(*corev1.Pod) error) (err error) {
	if err := r.release(ctx, v.Name); err != nil { // one that a killed masu has left
		return err
	}
	no, most := false, int64(haulMost/time.Second)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: haulName(v.Name), Labels: map[string]string{labelManaged: "masu", labelLab: r.cfg.Lab}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, ActiveDeadlineSeconds: &most,
			SecurityContext: r.podSecurity(v.Owner),
			Containers: []corev1.Container{{Name: boxContainer, Image: r.cfg.Agent, Command: []string{"/masu", "agent", "hold"}, Resources: little(),
				VolumeMounts: []corev1.VolumeMount{{Name: "volume", MountPath: haulTarget}}, SecurityContext: r.security(false)}},
			Volumes: []corev1.Volume{{Name: "volume", VolumeSource: claimed(v.Name)}},
		},
	}
	for _, s := range r.cfg.PullSecrets {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	if err := r.core.Post().Namespace(r.cfg.Namespace).Resource("pods").Body(p).Do(ctx).Into(p); err != nil {
		return r.failed("hold volume", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), slow)
		defer cancel()
		err = errors.Join(err, r.release(ctx, v.Name))
	}()
	wait, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	if err := r.await(wait, p.Name, func(now *corev1.Pod) bool { return now == nil || running(now) || ended(now) }); err != nil {
		return err
	}
	return do(p)
}

func haulName(volume string) string { return "masu-haul-" + digest(volume) }

// release ends the pod that holds a volume, if there is one.
func (r *Runtime) release(ctx context.Context, volume string) error {
	var p corev1.Pod
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").Name(haulName(volume)).Do(ctx).Into(&p)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return r.failed("hold volume", err)
	}
	if p.Labels[labelLab] != r.cfg.Lab {
		return masu.E(masu.Denied, "volume_not_ours", volume)
	}
	return r.delete(ctx, &p, time.Second)
}

// Reaches tells whether the nodes reach a folder of masu's own host: Invalid
// "folder_not_shared" where no tree of the storage map has it, NotFound
// "claim_missing" where the tree's claim is not there.
func (r *Runtime) Reaches(ctx context.Context, folder string) error {
	s, ok := r.shared(folder)
	if !ok {
		return masu.E(masu.Invalid, "folder_not_shared", folder)
	}
	c, err := r.claim(ctx, s.Claim)
	if err == nil && c == nil {
		err = masu.E(masu.NotFound, "claim_missing", s.Claim, r.cfg.Namespace, folder)
	}
	return err
}

// At names the place where boxes are, for people and for records.
func (r *Runtime) At() string { return r.host + " " + r.cfg.Namespace + " " + r.cfg.Registry }

// Room is how much a home may hold.
func (r *Runtime) Room() masu.Bytes { return r.cfg.Storage.Size }
