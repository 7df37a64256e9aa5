package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/masu-lab/masu"
)

// TestRestricted runs a box in a namespace that lets nothing in but what the
// Pod Security standard "restricted" allows, as a service account that has the
// driver's rights and no others.
func TestRestricted(t *testing.T) {
	c := testConfig(t)
	admin := open(t, c)
	c.Namespace, c.Restricted = "masu-restricted", true
	c.Kubeconfig = narrow(t, admin, c.Namespace)
	rt := open(t, c)

	home := "masu-home-" + strings.ToLower(rand.Text()[:6])
	b := testBox()
	b.ID, b.Limits = masu.WorkspaceID(strings.ToLower(rand.Text()[:12])), masu.Limits{Memory: 256 * masu.MiB}
	img, err := rt.Image(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	b.Image, b.Agent.Sudo = img.ID, true
	b.Mounts = []masu.Mount{{Volume: home, Target: b.Agent.User.Home}}
	if err := rt.Start(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rt.Remove(t.Context(), b.ID); err != nil {
			t.Error(err)
		}
		if err := rt.RemoveVolume(t.Context(), home); err != nil {
			t.Error(err)
		}
	}()
	await(t, rt, b.ID)
	sh := func(script string) (int, string) {
		var out bytes.Buffer
		code, err := rt.Exec(t.Context(), b.ID, masu.Exec{Argv: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		return code, out.String()
	}
	for script, want := range map[string]string{
		"id -un; id -u; id -gn":                        "alice\n1234\nalice\n",
		"echo $HOME; pwd":                              "/home/alice\n/home/alice/work\n",
		"touch ~/mine 2>&1; stat -c %U ~/mine":         "alice\n",
		"stat -c %a $XDG_RUNTIME_DIR":                  "700\n",
		"ls ~/scripts/set_passwd.sh":                   "/home/alice/scripts/set_passwd.sh\n",
		"grep ^NoNewPrivs /proc/self/status | cut -f2": "1\n",
		"grep ^CapBnd /proc/self/status | cut -f2":     "0000000000000000\n",
		"ls /var/run/secrets 2>/dev/null":              "",
	} {
		if _, out := sh(script); out != want {
			t.Errorf("%s: %q, want %q", script, out, want)
		}
	}
	if got, err := rt.Volumes(t.Context(), b.ID); err != nil || !slices.Equal(got, []string{home}) {
		t.Errorf("its volumes are %v, %v", got, err)
	}
	if _, err := rt.Exec(t.Context(), b.ID, masu.Exec{Argv: []string{"id"}, Root: true}); masu.CodeOf(err) != "no_root_here" {
		t.Errorf("a command as root: %v", err)
	}
	for what, err := range denied(t, rt) {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s is not forbidden: %v", what, err)
		}
	}
}

// denied tries what the driver has no right to.
func denied(t *testing.T, rt *Runtime) map[string]error {
	get := func(r *rest.Request) error { return r.Do(t.Context()).Error() }
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	return map[string]error{
		"pods of another namespace":      get(rt.core.Get().Namespace("kube-system").Resource("pods")),
		"a pod in another namespace":     get(rt.core.Post().Namespace("default").Resource("pods").Body(pod)),
		"secrets":                        get(rt.core.Get().Namespace(rt.cfg.Namespace).Resource("secrets")),
		"service accounts":               get(rt.core.Get().Namespace(rt.cfg.Namespace).Resource("serviceaccounts")),
		"namespaces":                     get(rt.core.Get().Resource("namespaces")),
		"one node's files":               get(rt.core.Get().Resource("nodes").Name("n1").SubResource("proxy", "logs")),
		"changing a node":                get(rt.core.Patch("application/merge-patch+json").Resource("nodes").Name("n1").Body([]byte(`{"spec":{"unschedulable":true}}`))),
		"persistent volumes":             get(rt.core.Get().Resource("persistentvolumes")),
		"deleting all pods at once":      get(rt.core.Delete().Namespace(rt.cfg.Namespace).Resource("pods")),
		"more rights for itself":         get(rt.core.Get().AbsPath("/apis/rbac.authorization.k8s.io/v1/namespaces/" + rt.cfg.Namespace + "/roles")),
		"a pod that is part of its node": hostPod(t, rt),
	}
}

// hostPod tries to start what the namespace's own rules keep out.
func hostPod(t *testing.T, rt *Runtime) error {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "host"}, Spec: corev1.PodSpec{HostPID: true, Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	return rt.core.Post().Namespace(rt.cfg.Namespace).Resource("pods").Body(p).Do(t.Context()).Error()
}

// narrow makes a namespace and a service account with the driver's rights there, and gives a kubeconfig for it.
func narrow(t *testing.T, admin *Runtime, namespace string) string {
	t.Helper()
	name := metav1.ObjectMeta{Name: "masu"}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "masu", Namespace: namespace}}
	core, rbac := "/api/v1/", "/apis/rbac.authorization.k8s.io/v1/"
	in := "namespaces/" + namespace + "/"
	for _, o := range []struct {
		path   string
		object any
	}{
		{core + "namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}},
		{core + in + "serviceaccounts", corev1.ServiceAccount{ObjectMeta: name}},
		{rbac + in + "roles", rbacv1.Role{ObjectMeta: name, Rules: Rights()}},
		{rbac + in + "rolebindings", rbacv1.RoleBinding{ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "masu"}}},
		{rbac + "clusterroles", rbacv1.ClusterRole{ObjectMeta: name, Rules: NodeRights()}},
		{rbac + "clusterrolebindings", rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "masu"}}},
	} {
		post(t, admin, o.path, o.object, nil)
	}
	var token authv1.TokenRequest
	post(t, admin, core+in+"serviceaccounts/masu/token", authv1.TokenRequest{}, &token)
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

// post makes an object that need not be one of the driver's kinds; it may be there already.
func post(t *testing.T, admin *Runtime, path string, object, answer any) {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := admin.core.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(text).DoRaw(t.Context())
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("%s: %v", path, err)
	}
	if answer != nil {
		if err := json.Unmarshal(raw, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// await asks the box's agent until it answers.
func await(t *testing.T, rt *Runtime, id masu.WorkspaceID) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return rt.Dial(ctx, id, masu.AgentPort)
	}}}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := client.Get("http://box/v1/status")
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			s, _ := rt.Box(t.Context(), id)
			t.Fatalf("the agent does not answer: %v; the box is %+v", err, s)
		}
	}
}
