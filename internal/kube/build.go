package kube

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/buildkit"
)

// buildScript receives the context at its input, builds, and leaves nothing
// behind. What buildctl tells goes to the standard error as JSON, a line each;
// what it made, to the standard output. Its arguments are a key, the
// Dockerfile's path, a program for sed that names the bases, and buildctl's.
const buildScript = `set -eu
dir=/tmp/masu-build-$1 file=$2 bases=$3; shift 3
trap 'rm -rf "$dir"' EXIT
mkdir -m 700 "$dir" "$dir/files"
tar -x -C "$dir/files" --no-same-owner
sed -E "$bases" "$dir/files/$file" >"$dir/Dockerfile"
buildctl build --progress=rawjson --frontend dockerfile.v0 --local context="$dir/files" --local dockerfile="$dir" --metadata-file "$dir/made" "$@"
cat "$dir/made"`

// Build makes an image with a buildkitd of the cluster, which pushes it to the
// registry; see masu.Builder. It fails as docker's does, and with Unreachable
// "builder_missing" when no buildkitd runs.
func (r *Runtime) Build(ctx context.Context, b masu.BuildRequest, progress func(masu.Progress)) (string, error) {
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	at, err := r.at(cmp.Or(b.Ref, "masu/unnamed:"+masu.ImageRef(strings.ToLower(rand.Text()))))
	if err != nil {
		return "", err
	}
	pod, err := r.builder(ctx)
	if err != nil {
		return "", err
	}
	bases, err := r.bases(ctx, &b)
	if err != nil {
		return "", err
	}
	src := buildkit.NewContext(b.Files)
	steps := buildkit.NewSteps(progress)
	var made bytes.Buffer
	said := &traceWriter{steps: steps}
	key := rand.Text()
	argv := append([]string{"sh", "-c", buildScript, "build", key, b.Dockerfile, bases}, buildOptions(b, at)...)
	code, err := r.stream(ctx, pod, argv, remotecommand.StreamOptions{Stdin: src, Stdout: &made, Stderr: said})
	srcErr := src.Close()
	switch {
	case ctx.Err() != nil:
		r.stopBuild(ctx, pod, key)
		return "", masu.E(masu.Cancelled, "build_stopped").Because(context.Cause(ctx))
	case srcErr != nil:
		return "", srcErr
	case err != nil:
		return "", r.failed("build", err)
	case code != 0 && steps.DiskFull():
		return "", masu.E(masu.Full, "disk_full", "buildkitd").Because(errors.New(said.words()))
	case code != 0:
		return "", steps.Trouble(said.words()).Because(errors.New(said.words()))
	}
	src.TellLeft(progress)
	var m struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(made.Bytes(), &m); err != nil || m.Digest == "" {
		return "", fmt.Errorf("kube: buildctl does not say what it has made: %w", err)
	}
	return at.Context().Digest(m.Digest).String(), nil
}

// builder finds a pod that runs buildkitd.
func (r *Runtime) builder(ctx context.Context) (*corev1.Pod, error) {
	if r.cfg.Builder == "" {
		return nil, masu.E(masu.Unreachable, "builder_missing", r.cfg.BuilderNamespace)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.PodList
	err := r.core.Get().Namespace(r.cfg.BuilderNamespace).Resource("pods").VersionedParams(&metav1.ListOptions{LabelSelector: r.cfg.Builder}, parameters).Do(ctx).Into(&l)
	if err != nil {
		return nil, r.failed("builder", err)
	}
	for i := range l.Items {
		if p := &l.Items[i]; p.Status.Phase == corev1.PodRunning && ready(p) && p.DeletionTimestamp == nil {
			return p, nil
		}
	}
	return nil, masu.E(masu.Unreachable, "builder_missing", r.cfg.BuilderNamespace)
}

func buildOptions(b masu.BuildRequest, at name.Reference) []string {
	out := []string{"--output", "type=image,push=true,name=" + at.String()}
	if b.Target != "" {
		out = append(out, "--opt", "target="+b.Target)
	}
	for _, k := range slices.Sorted(maps.Keys(b.Args)) {
		out = append(out, "--opt", "build-arg:"+k+"="+b.Args[k])
	}
	for _, k := range slices.Sorted(maps.Keys(b.Labels)) {
		out = append(out, "--opt", "label:"+k+"="+b.Labels[k])
	}
	if b.NoCache {
		out = append(out, "--no-cache")
	}
	return out
}

var plainRef = regexp.MustCompile(`^[A-Za-z0-9._/:@-]+$`)

// bases finds the images of the lab's registry that the Dockerfile begins with,
// and gives a program for sed that calls them by their names there: to
// buildkitd a name without a host is of its own default registry. One that
// comes by an argument of the build is changed in the request.
func (r *Runtime) bases(ctx context.Context, b *masu.BuildRequest) (string, error) {
	text, err := fs.ReadFile(b.Files, b.Dockerfile)
	if err != nil {
		return "", masu.E(masu.Invalid, "context_unreadable", b.Dockerfile).Because(err)
	}
	var program []string
	for line := range strings.Lines(string(text)) {
		f := slices.DeleteFunc(strings.Fields(line), func(w string) bool { return strings.HasPrefix(w, "--") })
		if len(f) < 2 || !strings.EqualFold(f[0], "FROM") {
			continue
		}
		argument, isArgument := strings.CutPrefix(f[1], "$")
		argument = strings.Trim(argument, "{}")
		ref := f[1]
		if isArgument {
			ref = b.Args[argument]
		}
		id, err := r.ours(ctx, masu.ImageRef(ref))
		switch {
		case err != nil:
			return "", err
		case id == "":
		case isArgument:
			b.Args = maps.Clone(b.Args)
			b.Args[argument] = id
		default:
			program = append(program, fmt.Sprintf(`s#^([[:space:]]*[Ff][Rr][Oo][Mm][[:space:]]+(--[^[:space:]]+[[:space:]]+)*)%s([[:space:]]|$)#\1%s\3#`, regexp.QuoteMeta(ref), id))
		}
	}
	return strings.Join(program, "\n"), nil
}

// ours gives the ID of an image that the lab's registry has; "" for another.
func (r *Runtime) ours(ctx context.Context, ref masu.ImageRef) (string, error) {
	at, err := r.at(ref)
	if err != nil || !plainRef.MatchString(string(ref)) || !strings.HasPrefix(at.Name(), r.cfg.Registry+"/") {
		return "", nil
	}
	img, err := r.Image(ctx, ref)
	if masu.CodeOf(err) == "no_image" {
		return "", nil
	}
	return img.ID, err
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// stopBuild ends what a build whose caller has gone still does.
func (r *Runtime) stopBuild(ctx context.Context, p *corev1.Pod, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killGrace)
	defer cancel()
	if err := r.command(ctx, p, []string{"pkill", "-f", "masu-build-" + key}); err != nil {
		r.cfg.Log.Debug("a build was perhaps not ended", "pod", p.Name, "err", err)
	}
}

// traceWriter turns what buildctl tells into progress, and keeps its last words.
type traceWriter struct {
	steps   *buildkit.Steps
	partial []byte
	last    []string
}

// most is what a line of a trace may have; one that has more is not told.
const most = 4 << 20

func (w *traceWriter) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte("\n"))
		if !found {
			break
		}
		w.line(line)
		w.partial = rest
	}
	if len(w.partial) > most {
		w.partial = nil
	}
	return len(p), nil
}

func (w *traceWriter) line(line []byte) {
	if t, err := buildkit.DecodeJSON(line); err == nil {
		w.steps.Take(t)
		return
	}
	const kept = 20
	if w.last = append(w.last, string(line)); len(w.last) > kept {
		w.last = w.last[1:]
	}
}

// words are what buildctl said that was no trace: why it failed.
func (w *traceWriter) words() string {
	if len(w.partial) > 0 {
		w.line(w.partial)
		w.partial = nil
	}
	for _, line := range slices.Backward(w.last) {
		if s, ok := strings.CutPrefix(line, "error: "); ok {
			return s
		}
	}
	return strings.Join(w.last, "\n")
}
