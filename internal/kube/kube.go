// Package kube is masu.Runtime on a Kubernetes cluster.
//
// A box is a pod named masu-ID; what must be remembered about it is on it as
// labels and annotations, and the API server's refusal of a second pod of that
// name is the lock. The cluster's scheduler finds the node and the GPUs. The
// driver needs one namespace and no rights outside it, but for reading nodes.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/masu-lab/masu"
)

// Deadlines for what an API server in health answers at once, and for what
// makes a node work.
const (
	quick  = 20 * time.Second
	slow   = 3 * time.Minute
	tidyUp = 30 * time.Second
)

// Config is what a Runtime needs.
type Config struct {
	Kubeconfig string // a file; "" means KUBECONFIG, ~/.kube/config, or the pod that masu runs in
	Context    string // of that file; "" means its current one
	Namespace  string // where the boxes are; nothing outside is touched
	Lab        string // the lab's identity; only boxes that carry it are seen
	Agent      string // image of masu itself, which brings the agent into every box
	Registry   string // host, and perhaps path, that images are pushed to and that the nodes pull from
	Builder    string // labels of the pods that run buildkitd, "app=masu-buildkit"; "" means that nothing can be built
	// BuilderNamespace is where they run; "" means Namespace. Where boxes are
	// restricted it is another one: building needs more than boxes may.
	BuilderNamespace string
	// PullSecrets name Secrets of the namespace with which nodes pull from Registry.
	PullSecrets []string
	// Keychain opens Registry to masu; nil means nobody has to sign in.
	Keychain authn.Keychain
	Storage  Storage
	Kueue    Kueue
	Memory   masu.Bytes // of a box that asks for none; 0 means 8 GiB
	// Restricted makes boxes that the Pod Security standard "restricted" lets
	// in: nobody in them is root, so there is no sudo.
	Restricted bool
	// Say puts a code into words for the member, as text.Say does; nil leaves the code.
	Say func(lang masu.Lang, code string, args ...any) string
	Log *slog.Logger
}

// Storage says what the volumes and folders of boxes are on this cluster.
type Storage struct {
	Class   string     // StorageClass of homes; "" means the cluster's default
	Size    masu.Bytes // of a home; 0 means 20 GiB
	Folders []Shared   // the longest Prefix that fits counts
}

// Shared is a tree of folders that every node reaches.
type Shared struct {
	Prefix string // path on masu's own host, "/home"
	Claim  string // PersistentVolumeClaim that holds the tree
	Path   string // where Prefix is within the claim; "" means its top
}

// Runtime is masu.Runtime on a cluster.
type Runtime struct {
	cfg     Config
	rest    *rest.Config
	core    rest.Interface // v1
	net     rest.Interface // networking.k8s.io/v1
	host    string         // of the API server, for people
	forward forwards
	gauges  *gauges

	mu     sync.Mutex
	fenced bool // the lab's network policy is as this masu wants it
}

var _ masu.Runtime = (*Runtime)(nil)

// parameters turns options of a request into its query.
var scheme, codecs, parameters = words()

// words are the kinds of objects that the driver speaks of.
func words() (*runtime.Scheme, serializer.CodecFactory, runtime.ParameterCodec) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // two kinds of one name: cannot happen
		}
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return s, serializer.NewCodecFactory(s), runtime.NewParameterCodec(s)
}

// New reaches the cluster. One that does not answer is Unreachable
// "cluster_unreachable", one that refuses masu Denied "cluster_denied".
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	for name, missing := range map[string]bool{
		"Namespace": cfg.Namespace == "", "Lab": cfg.Lab == "", "Agent": cfg.Agent == "",
		"Registry": cfg.Registry == "", "Log": cfg.Log == nil,
	} {
		if missing {
			return nil, fmt.Errorf("kube: Config.%s is missing", name)
		}
	}
	c, err := cfg.reach()
	if err != nil {
		return nil, err
	}
	r, err := newRuntime(cfg, c)
	if err != nil {
		return nil, err
	}
	if _, err := r.list(ctx); err != nil { // tells at once what would go wrong later
		return nil, err
	}
	return r, nil
}

// newRuntime is New without a word to the cluster.
func newRuntime(cfg Config, c *rest.Config) (*Runtime, error) {
	if cfg.Storage.Size == 0 {
		cfg.Storage.Size = 20 * masu.GiB
	}
	if cfg.BuilderNamespace == "" {
		cfg.BuilderNamespace = cfg.Namespace
	}
	if cfg.Memory == 0 {
		cfg.Memory = 8 * masu.GiB
	}
	if cfg.Keychain == nil {
		cfg.Keychain = authn.NewMultiKeychain()
	}
	r := &Runtime{cfg: cfg, rest: c, host: c.Host, forward: forwards{open: map[string]*forwarding{}}}
	r.gauges = newGauges(r.Dial)
	var err error
	if r.core, err = clientFor(c, "/api", corev1.SchemeGroupVersion); err != nil {
		return nil, err
	}
	if r.net, err = clientFor(c, "/apis", networkingv1.SchemeGroupVersion); err != nil {
		return nil, err
	}
	return r, nil
}

// reach finds the cluster; Invalid "kubeconfig_invalid".
func (cfg Config) reach() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = cfg.Kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: cfg.Context}).ClientConfig()
	if err != nil {
		return nil, masu.E(masu.Invalid, "kubeconfig_invalid", err.Error()).Because(err)
	}
	c.QPS, c.Burst = 50, 100 // a lab that starts two hundred boxes at once must not wait for itself
	c.UserAgent = "masu"
	return c, nil
}

func clientFor(c *rest.Config, path string, version schema.GroupVersion) (rest.Interface, error) {
	c = rest.CopyConfig(c)
	c.APIPath, c.GroupVersion, c.NegotiatedSerializer = path, &version, codecs.WithoutConversion()
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	return client, nil
}

// Close lets go of the cluster; boxes run on.
func (r *Runtime) Close() error {
	r.forward.close()
	return nil
}

// Info describes the cluster.
func (r *Runtime) Info(ctx context.Context) (masu.RuntimeInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	raw, err := r.core.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return masu.RuntimeInfo{}, r.failed("version", err)
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return masu.RuntimeInfo{}, fmt.Errorf("kube: version: %w", err)
	}
	if v.GitVersion == "" {
		return masu.RuntimeInfo{}, errors.New("kube: the API server does not say which version it is")
	}
	return masu.RuntimeInfo{Name: "kubernetes", Version: v.GitVersion, API: "v1", Fleeting: true}, nil
}
