package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/masu-lab/masu"
)

// TestInside applies the manifests of a masu inside the cluster to a real
// control plane, which needs no nodes for it, and tries what its account may do.
func TestInside(t *testing.T) {
	state := os.Getenv("MASU_TEST_KUBE")
	if state == "" {
		t.Skip("MASU_TEST_KUBE is not set")
	}
	registry, err := os.ReadFile(filepath.Join(state, "registry.address"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Kubeconfig: filepath.Join(state, "admin.kubeconfig"), Namespace: "inside", Registry: strings.TrimSpace(string(registry)) + "/masu",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	rc, err := cfg.reach()
	if err != nil {
		t.Fatal(err)
	}
	rc.QPS, rc.Burst = 5000, 5000
	admin, err := newRuntime(cfg, rc)
	if err != nil {
		t.Fatal(err)
	}
	c := testInside()
	c.Namespace, c.BuilderNamespace, c.Inside.Namespace = "inside", "inside-build", "inside-system"
	applyAll(t, admin, c)
	cfg.Kubeconfig, cfg.BuilderNamespace, cfg.Restricted = tokenFor(t, admin, c.Inside.Namespace), c.BuilderNamespace, true
	t.Run("rights", func(t *testing.T) { checkAllowed(t, admin, c) })
	t.Run("pods", func(t *testing.T) { checkAdmission(t, admin, c) })
	t.Run("lease", func(t *testing.T) { checkLease(t, cfg, c.Inside.Namespace) })
	t.Run("doctor", func(t *testing.T) { checkDoctor(t, cfg) })
	t.Run("budget", func(t *testing.T) { checkBudget(t, admin, c) })
}

// applyAll makes the objects of the manifests, or brings those that are there up to date.
func applyAll(t *testing.T, admin *Runtime, c Cluster) {
	t.Helper()
	for _, o := range c.objects() {
		text, err := plain(o)
		if err != nil {
			t.Fatal(err)
		}
		var about struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal(text, &about); err != nil {
			t.Fatal(err)
		}
		path := "/apis/" + about.APIVersion
		if about.APIVersion == "v1" {
			path = "/api/v1"
		}
		if about.Metadata.Namespace != "" {
			path += "/namespaces/" + about.Metadata.Namespace
		}
		path += "/" + strings.ToLower(about.Kind) + "s/" + about.Metadata.Name
		if err := admin.core.Patch("application/apply-patch+yaml").AbsPath(path).Param("fieldManager", "test").Param("fieldValidation", "Strict").Param("force", "true").Body(text).Do(t.Context()).Error(); err != nil {
			t.Errorf("%s %s: %v", about.Kind, about.Metadata.Name, err)
		}
	}
}

// tokenFor gives a kubeconfig of masu's account.
func tokenFor(t *testing.T, admin *Runtime, namespace string) string {
	t.Helper()
	var token authv1.TokenRequest
	post(t, admin, "/api/v1/namespaces/"+namespace+"/serviceaccounts/masu/token", authv1.TokenRequest{}, &token)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: admin.rest.Host, CertificateAuthority: admin.rest.CAFile}
	k.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	k.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	k.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*k, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// allowed is all that masu's account may do in a whole cluster: whoever widens
// it must write it here too. What every account may ask about itself is not listed.
var allowed = strings.Fields(`
	*:nodes:list
	inside:namespaces:get inside:pods:get inside:pods:list inside:pods:watch inside:pods:create inside:pods:delete
	inside:pods/log:get inside:pods/exec:get inside:pods/exec:create inside:pods/portforward:get inside:pods/portforward:create
	inside:persistentvolumeclaims:get inside:persistentvolumeclaims:list inside:persistentvolumeclaims:create inside:persistentvolumeclaims:delete
	inside:networkpolicies:get inside:networkpolicies:create inside:networkpolicies:update
	inside-build:pods:list inside-build:pods/exec:get inside-build:pods/exec:create
	inside-system:leases:create`)

// checkAllowed asks the API server, for every resource that it has, every verb,
// and several namespaces, whether masu's account may; all but allowed is denied.
func checkAllowed(t *testing.T, admin *Runtime, c Cluster) {
	asked, got := 0, []string{}
	all := resourcesOf(t, admin)
	for _, res := range all {
		namespaces := []string{""}
		if res.namespaced {
			namespaces = []string{"", c.Namespace, c.BuilderNamespace, c.Inside.Namespace, "kube-system"}
		} else if res.name == "namespaces" {
			namespaces = []string{"", c.Namespace, "default"}
		}
		for _, namespace := range namespaces {
			for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate"} {
				asked++
				if reviewed(t, admin, c.Inside.Namespace, namespace, res.group, res.name, "", verb) {
					where := namespace
					if where == "" {
						where = "*"
					}
					got = append(got, where+":"+res.name+":"+verb)
				}
			}
		}
	}
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "*:selfsubject") })
	slices.Sort(got)
	want := slices.Clone(allowed)
	if slices.ContainsFunc(all, func(r apiResource) bool { return r.group == "kueue.x-k8s.io" }) {
		want = append(want, c.Namespace+":workloads:list", c.Namespace+":localqueues:get")
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("of %d rights masu's account has\n%s\nwant\n%s", asked, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.Logf("%d rights asked for, %d given", asked, len(got))
	for lease, may := range map[string]bool{leaseName: true, "another": false} {
		if reviewed(t, admin, c.Inside.Namespace, c.Inside.Namespace, "coordination.k8s.io", "leases", lease, "update") != may {
			t.Errorf("the lease %s: want %v", lease, may)
		}
	}
}

type apiResource struct {
	group, name string
	namespaced  bool
}

// resourcesOf lists all that the API server has.
func resourcesOf(t *testing.T, admin *Runtime) (all []apiResource) {
	t.Helper()
	get := func(path string, to any) {
		t.Helper()
		raw, err := admin.core.Get().AbsPath(path).DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(raw, to)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	var groups metav1.APIGroupList
	get("/apis", &groups)
	paths := map[string]string{"/api/v1": ""}
	for _, g := range groups.Groups {
		paths["/apis/"+g.PreferredVersion.GroupVersion] = g.Name
	}
	for path, group := range paths {
		var l metav1.APIResourceList
		get(path, &l)
		for _, r := range l.APIResources {
			all = append(all, apiResource{group, r.Name, r.Namespaced})
		}
	}
	if len(all) < 80 {
		t.Fatalf("only %d resources: %v", len(all), all)
	}
	return all
}

func reviewed(t *testing.T, admin *Runtime, home, namespace, group, resource, name, verb string) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	body, err := json.Marshal(authorizationv1.SubjectAccessReview{TypeMeta: kind("authorization.k8s.io/v1", "SubjectAccessReview"), Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + home + ":" + account, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + home, "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Group: group, Resource: resource, Subresource: sub, Name: name, Verb: verb}}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := admin.core.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").SetHeader("Content-Type", "application/json").Body(body).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var answer authorizationv1.SubjectAccessReview
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}

// checkAdmission: the cluster takes masu's pod in masu's own namespace, and would not among the boxes.
func checkAdmission(t *testing.T, admin *Runtime, c Cluster) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: c.Inside.deployment(metav1.ObjectMeta{}).Spec.Template.Spec}
	p.Spec.ServiceAccountName = "" // that of the boxes' namespace has another name
	try := func(namespace string) error {
		return admin.core.Post().Namespace(namespace).Resource("pods").Param("dryRun", "All").Body(&p).Do(t.Context()).Error()
	}
	if err := try(c.Inside.Namespace); err != nil {
		t.Errorf("masu's own namespace: %v", err)
	}
	if err := try(c.Namespace); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("the boxes' namespace takes a root: %v", err)
	}
}

// checkLease: two masu with the account's own rights; the second has the lease when the first gives it back.
func checkLease(t *testing.T, cfg Config, namespace string) {
	lease := func(holder string) *Lease {
		t.Helper()
		l, err := NewLease(cfg, namespace+"/"+leaseName, holder)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, second := lease("first"), lease("second")
	t.Cleanup(func() {
		if err := second.Release(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := first.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := first.try(t.Context()); err != nil || !held {
		t.Errorf("renewing: %v, %v", held, err)
	}
	if held, err := second.try(t.Context()); err != nil || held {
		t.Errorf("two have it: %v, %v", held, err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger, err := NewLease(cfg, namespace+"/another", "first")
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Acquire(t.Context()); masu.CodeOf(err) != "cluster_refuses" {
		t.Errorf("a lease that is not masu's: %v", err)
	}
}

// checkDoctor: what doctor says of a cluster to which nothing but the manifests was applied.
func checkDoctor(t *testing.T, cfg Config) {
	cfg.Builder = "app=masu-buildkit"
	cfg.Storage.Folders = []Shared{{Prefix: "/home", Claim: "homes"}}
	got := map[string]masu.Severity{}
	for _, f := range Examine(t.Context(), cfg) {
		t.Logf("%s %s %q", f.Severity, f.Code, f.Args)
		got[f.Code] = f.Severity
	}
	for code, severity := range map[string]masu.Severity{"kube_ok": masu.Good, "kube_rights_ok": masu.Good, "kube_namespace_ok": masu.Good,
		"kube_claim_missing": masu.Fail, "kube_class_unseen": masu.Info, "kube_builder_missing": masu.Fail, "kube_registry_ok": masu.Good} {
		if got[code] != severity {
			t.Errorf("%s is %q, want %q", code, got[code], severity)
		}
	}
}

// checkBudget: whoever empties a node may not end a box that runs; masu may.
func checkBudget(t *testing.T, admin *Runtime, c Cluster) {
	name := "masu-drained"
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelWorkspace: "x"}}, Spec: corev1.PodSpec{
		SecurityContext: admin.podSecurity(masu.User{UID: 1234, GID: 1234}), Containers: []corev1.Container{{Name: boxContainer, Image: "none", SecurityContext: admin.security(false)}}}}
	yes := true
	p.Spec.SecurityContext.RunAsNonRoot, p.Spec.NodeName = &yes, "nowhere"
	p.Spec.Containers[0].SecurityContext = (&Runtime{cfg: Config{Restricted: true}}).security(false)
	pods := func(r *rest.Request) *rest.Request { return r.Namespace(c.Namespace).Resource("pods") }
	post(t, admin, "/api/v1/namespaces/"+c.Namespace+"/pods", p, nil)
	defer func() {
		none := int64(0)
		if err := pods(admin.core.Delete()).Name(name).Body(&metav1.DeleteOptions{GracePeriodSeconds: &none}).Do(context.WithoutCancel(t.Context())).Error(); err != nil {
			t.Error(err)
		}
	}()
	status := `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`
	if err := pods(admin.core.Patch("application/merge-patch+json")).Name(name).SubResource("status").Body([]byte(status)).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	err := admin.core.Post().AbsPath("/api/v1/namespaces/"+c.Namespace+"/pods/"+name+"/eviction").SetHeader("Content-Type", "application/json").
		Body(fmt.Appendf(nil, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, name, c.Namespace)).Do(t.Context()).Error()
	if answer, ok := errors.AsType[*apierrors.StatusError](err); !ok || answer.ErrStatus.Code != http.StatusTooManyRequests {
		t.Errorf("a running box may be evicted: %v", err)
	}
}
