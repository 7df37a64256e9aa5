package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/docker"
	"github.com/masu-lab/masu/internal/gpu"
	"github.com/masu-lab/masu/internal/host"
	"github.com/masu-lab/masu/internal/kube"
	"github.com/masu-lab/masu/internal/text"
)

// kubeConfig makes the lab run its boxes on a cluster, and not on this host's engine.
type kubeConfig struct {
	Registry   string `yaml:"registry"` // with it, all else has its default
	Kubeconfig string `yaml:"kubeconfig"`
	Context    string `yaml:"context"`
	Namespace  string `yaml:"namespace"`
	Builder    string `yaml:"builder"`
	// BuilderNamespace is where buildkitd runs.
	BuilderNamespace string   `yaml:"builder_namespace"`
	PullSecrets      []string `yaml:"pull_secrets"`
	Sudo             bool     `yaml:"sudo"`
	Memory           string   `yaml:"memory"` // of a box that asks for none
	Kueue            struct {
		Queue       string            `yaml:"queue"`  // LocalQueue of boxes with GPUs
		Groups      map[string]string `yaml:"groups"` // of the members of a group instead
		Priority    string            `yaml:"priority"`
		RunPriority string            `yaml:"run_priority"`
	} `yaml:"kueue"`
	Storage struct {
		Class   string            `yaml:"class"`
		Home    string            `yaml:"home"`    // size of a home
		Folders map[string]string `yaml:"folders"` // path here: claim, or claim:path within it
	} `yaml:"storage"`
}

// kubeNamespace is where boxes are unless the admin says otherwise.
const kubeNamespace = "masu"

// on tells whether there is to be a cluster.
func (c kubeConfig) on() bool { return c.Registry != "" }

func (c kubeConfig) check() error {
	var errs []error
	if !c.on() {
		if c.Kubeconfig != "" || c.Namespace != "" || len(c.Storage.Folders) > 0 {
			errs = append(errs, errors.New("kubernetes.registry: REGISTRY/PATH"))
		}
		return errors.Join(errs...)
	}
	if _, err := c.config(); err != nil {
		errs = append(errs, err)
	}
	if c.Sudo && len(c.Storage.Folders) > 0 { // root in a box would be root in everybody's folders
		errs = append(errs, errors.New("kubernetes.sudo: not together with kubernetes.storage.folders"))
	}
	return errors.Join(errs...)
}

// config is what the driver is told, but for what only the running daemon knows.
func (c kubeConfig) config() (k kube.Config, err error) {
	k = kube.Config{
		Kubeconfig: c.Kubeconfig, Context: c.Context, Namespace: cmp.Or(c.Namespace, kubeNamespace), Registry: strings.TrimSuffix(c.Registry, "/"),
		Builder: cmp.Or(c.Builder, "app=masu-buildkit"), PullSecrets: c.PullSecrets, Restricted: !c.Sudo, Keychain: authn.DefaultKeychain,
		Storage: kube.Storage{Class: c.Storage.Class},
		Kueue:   kube.Kueue{Queue: c.Kueue.Queue, Priority: c.Kueue.Priority, RunPriority: c.Kueue.RunPriority},
	}
	for _, group := range slices.Sorted(maps.Keys(c.Kueue.Groups)) {
		k.Kueue.Groups = append(k.Kueue.Groups, kube.Queued{Group: group, Queue: c.Kueue.Groups[group]})
	}
	if err := k.Kueue.Check(); err != nil {
		return k, fmt.Errorf("kubernetes.kueue: %w", err)
	}
	k.BuilderNamespace = cmp.Or(c.BuilderNamespace, k.Namespace+"-build")
	for _, want := range []struct {
		key, text string
		to        *masu.Bytes
	}{{"kubernetes.memory", c.Memory, &k.Memory}, {"kubernetes.storage.home", c.Storage.Home, &k.Storage.Size}} {
		if want.text == "" {
			continue
		}
		v, ok := masu.ParseBytes(want.text)
		if !ok {
			return k, fmt.Errorf("%s: %s: 16GiB", want.key, want.text)
		}
		*want.to = v
	}
	for _, prefix := range slices.Sorted(maps.Keys(c.Storage.Folders)) {
		claim, within, _ := strings.Cut(c.Storage.Folders[prefix], ":")
		if !filepath.IsAbs(prefix) || filepath.Clean(prefix) != prefix || claim == "" || strings.Contains(within, "..") {
			return k, fmt.Errorf("kubernetes.storage.folders: %s: %s", prefix, c.Storage.Folders[prefix])
		}
		k.Storage.Folders = append(k.Storage.Folders, kube.Shared{Prefix: prefix, Claim: claim, Path: within})
	}
	return k, nil
}

// examine is doctor for the cluster.
func (c kubeConfig) examine(ctx context.Context) []masu.Finding {
	k, err := c.config()
	if err != nil {
		return []masu.Finding{{Code: "kube_config_wrong", Severity: masu.Fail, Args: []string{err.Error()}}}
	}
	return kube.Examine(ctx, k)
}

// engine is what runs the lab's boxes, and the GPUs that it has.
type engine struct {
	masu.Runtime
	gpus    masu.Inventory
	run     func(context.Context) error                      // watches the GPUs until its context ends
	devices func(dirs []string) ([]masu.GPU, []masu.Finding) // of CDI; nil where there are none to look for
}

// openEngine reaches this host's engine, or the cluster.
func (o serveOptions) openEngine(ctx context.Context, lab string, machine *host.Host, log *slog.Logger) (*engine, error) {
	agent, err := agentCopy(o.state)
	if err != nil {
		return nil, err
	}
	if o.kube.on() {
		return o.openCluster(ctx, lab, agent, log)
	}
	runtime, err := docker.New(ctx, docker.Config{Address: o.engine, Lab: lab, Agent: agent, Host: machine, RunDir: filepath.Dir(o.socket), Site: o.site, Say: text.Say, Log: log})
	if err != nil {
		return nil, err
	}
	gpus, err := gpu.New(gpu.Config{Kinds: o.policy.GPUs.CDI, Folders: func(ctx context.Context) ([]string, error) {
		info, err := runtime.Info(ctx)
		return info.CDI, err
	}})
	if err != nil {
		return nil, errors.Join(err, runtime.Close())
	}
	return &engine{Runtime: runtime, gpus: gpus, run: gpus.Run, devices: gpus.Devices}, nil
}

// openCluster reaches the cluster and brings this very program there, as an image under its digest.
func (o serveOptions) openCluster(ctx context.Context, lab, agent string, log *slog.Logger) (*engine, error) {
	c, err := o.kube.config()
	if err != nil {
		return nil, err
	}
	ref := agentImage(agent)
	c.Lab, c.Agent, c.Log = lab, c.Registry+"/"+string(ref), log
	runtime, err := kube.New(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := bringAgent(ctx, runtime, ref, agent); err != nil {
		return nil, errors.Join(err, runtime.Close())
	}
	return &engine{Runtime: runtime, gpus: runtime, run: runtime.Run}, nil
}

// bringAgent sees to it that the image is in the registry.
func bringAgent(ctx context.Context, runtime masu.Builder, ref masu.ImageRef, agent string) error {
	_, err := runtime.Image(ctx, ref)
	if masu.CodeOf(err) == "no_image" {
		err = pushAgent(ctx, runtime, ref, agent)
	}
	return err
}

// agentImage names the image that brings a copy of masu to the cluster.
func agentImage(agent string) masu.ImageRef {
	return masu.ImageRef("masu/agent:" + filepath.Base(filepath.Dir(agent)))
}

// pushAgent makes an image that holds masu and nothing else.
func pushAgent(ctx context.Context, runtime masu.Builder, ref masu.ImageRef, program string) error {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(writeAgent(tar.NewWriter(pw), program)) }()
	defer pr.Close()
	return runtime.Import(ctx, ref, pr, nil)
}

func writeAgent(w *tar.Writer, program string) error {
	if err := copyInto(w, program, "masu", 0o755); err != nil {
		return err
	}
	return w.Close()
}
