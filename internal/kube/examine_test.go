package kube

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// What an API server answers to a masu whose cluster is in order, by path.
// Tests change some of it; an answer of digits alone is a status.
var recorded = map[string]string{
	"/version":                          `{"gitVersion":"v1.34.4"}`,
	"/api/v1/nodes":                     `{"kind":"NodeList","apiVersion":"v1","items":[` + nodeOf("n1", "v1.34.4", "") + `,` + nodeOf("n2", "v1.32.1+k3s1", "") + `]}`,
	"/api/v1/namespaces/lab":            `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"lab","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`,
	"/api/v1/namespaces/lab/pods":       `{"kind":"PodList","apiVersion":"v1","items":[]}`,
	"/api/v1/namespaces/lab-build/pods": `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"b"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}]}`,
	"/api/v1/namespaces/lab/persistentvolumeclaims/homes": claimOf("ReadWriteMany", "Bound"),
	"/apis/storage.k8s.io/v1/storageclasses":              `{"kind":"StorageClassList","apiVersion":"storage.k8s.io/v1","items":[{"metadata":{"name":"nfs","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}}]}`,
	"/v2/":                                                `{}`,
	"/v2/masu/masu/agent/manifests/doctor":                "404",
}

// nodeOf is a ready node with two GPUs, unless more says otherwise.
func nodeOf(name, version, more string) string {
	if more == "" {
		more = `"annotations":{"projectcalico.org/IPv4Address":"10.0.0.1/24"}},"status":{"allocatable":{"nvidia.com/gpu":"2"},"conditions":[{"type":"Ready","status":"True"}],`
	}
	return `{"metadata":{"name":"` + name + `",` + more + `"nodeInfo":{"kubeletVersion":"` + version + `"}}}`
}

func claimOf(mode, phase string) string {
	return `{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"homes"},"spec":{"accessModes":["` + mode + `"]},"status":{"phase":"` + phase + `"}}`
}

func nodesOf(nodes ...string) string {
	return `{"kind":"NodeList","apiVersion":"v1","items":[` + strings.Join(nodes, ",") + `]}`
}

// waiting is a list of one pod that has not begun.
func waiting(status string) string {
	return `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"masu-x","annotations":{"masu.owner":"alice","masu.name":"thesis"}},"status":{"phase":"Pending",` + status + `}}]}`
}

func unplaced(message string) string {
	return waiting(`"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"` + message + `"}]`)
}

// recording serves answers, and gives rights by may.
func recording(t *testing.T, answers map[string]string, may func(authorizationv1.ResourceAttributes) bool) Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
			var ask authorizationv1.SelfSubjectAccessReview
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
				t.Error(err)
			}
			ask.Status.Allowed = may(*ask.Spec.ResourceAttributes)
			json.NewEncoder(w).Encode(ask)
			return
		}
		answer, ok := answers[r.URL.Path]
		for _, refusal := range []struct {
			code   int
			name   string
			reason string
		}{{401, "401", "Unauthorized"}, {403, "403", "Forbidden"}, {404, "404", "NotFound"}, {503, "503", "ServiceUnavailable"}} {
			if answer == refusal.name || !ok && refusal.code == 404 {
				w.WriteHeader(refusal.code)
				json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": refusal.reason, "message": "no: " + r.URL.Path, "code": refusal.code})
				return
			}
		}
		w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: s.URL}
	k.Contexts["x"] = &clientcmdapi.Context{Cluster: "c"}
	k.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k, file); err != nil {
		t.Fatal(err)
	}
	return Config{Kubeconfig: file, Namespace: "lab", BuilderNamespace: "lab-build", Builder: "app=masu-buildkit", Restricted: true,
		Registry: strings.TrimPrefix(s.URL, "http://") + "/masu", Storage: Storage{Folders: []Shared{{Prefix: "/home", Claim: "homes"}}}}
}

// enough are the driver's rights and no more.
func enough(a authorizationv1.ResourceAttributes) bool { return a.Namespace != "" }

func TestExamine(t *testing.T) {
	const pods, nodes, homes = "/api/v1/namespaces/lab/pods", "/api/v1/nodes", "/api/v1/namespaces/lab/persistentvolumeclaims/homes"
	well := []string{"ok kube_ok", "ok kube_gpus", "ok kube_rights_ok", "ok kube_namespace_ok", "ok kube_claim_ok", "ok kube_class_ok", "ok kube_fence_ok", "ok kube_builder_ok", "ok kube_registry_ok"}
	for name, c := range map[string]struct {
		change map[string]string
		config func(*Config)
		may    func(authorizationv1.ResourceAttributes) bool
		want   []string // beside what is good, or alone
		alone  bool
	}{
		"all is well":                   {},
		"no kubeconfig":                 {config: func(c *Config) { c.Kubeconfig = "/nowhere" }, want: []string{"fail kube_config_wrong"}, alone: true},
		"nobody answers":                {change: map[string]string{"/version": "503"}, want: []string{"fail kube_silent"}, alone: true},
		"a token that was taken back":   {change: map[string]string{"/version": "401"}, want: []string{"fail kube_unknown_here"}, alone: true},
		"a token that never was":        {change: map[string]string{pods: "401"}, want: []string{"fail kube_unknown_here"}, alone: true},
		"an old cluster":                {change: map[string]string{"/version": `{"gitVersion":"v1.29.15"}`}, want: []string{"fail kube_old"}},
		"a node too old":                {change: map[string]string{nodes: nodesOf(nodeOf("n1", "v1.30.9", ""))}, want: []string{"warn kube_skew"}},
		"nodes unseen":                  {change: map[string]string{nodes: "403"}, want: []string{"warn kube_nodes_unseen"}},
		"no node":                       {change: map[string]string{nodes: nodesOf()}, want: []string{"fail kube_no_nodes", "info kube_fence_unknown"}},
		"a node down":                   {change: map[string]string{nodes: nodesOf(nodeOf("n1", "v1.34.4", ""), nodeOf("n2", "v1.34.4", `"labels":{}},"status":{"conditions":[{"type":"Ready","status":"Unknown"}],`))}, want: []string{"warn kube_node_down"}},
		"cards without a plugin":        {change: map[string]string{nodes: nodesOf(nodeOf("n1", "v1.34.4", ""), nodeOf("n2", "v1.34.4", `"labels":{"nvidia.com/gpu.present":"true"}},"status":{"conditions":[{"type":"Ready","status":"True"}],`))}, want: []string{"warn kube_plugin_missing"}},
		"no GPUs":                       {change: map[string]string{nodes: nodesOf(nodeOf("n1", "v1.34.4", `"annotations":{"k3s.io/hostname":"n1","flannel.alpha.coreos.com/backend-type":"vxlan"}},"status":{"conditions":[{"type":"Ready","status":"True"}],`))}, want: []string{"info kube_gpus_none"}},
		"flannel":                       {change: map[string]string{nodes: nodesOf(nodeOf("n1", "v1.34.4", `"annotations":{"flannel.alpha.coreos.com/backend-type":"vxlan"}},"status":{"allocatable":{"amd.com/gpu":"1"},"conditions":[{"type":"Ready","status":"True"}],`))}, want: []string{"warn kube_fence_none"}},
		"a right is missing":            {may: func(a authorizationv1.ResourceAttributes) bool { return enough(a) && a.Subresource != "portforward" }, want: []string{"fail kube_rights_missing lab: get pods/portforward, lab: create pods/portforward"}},
		"an administrator's account":    {may: func(authorizationv1.ResourceAttributes) bool { return true }, want: []string{"warn kube_rights_wide"}},
		"no namespace":                  {change: map[string]string{"/api/v1/namespaces/lab": "404"}, want: []string{"fail kube_namespace_missing"}},
		"a namespace unseen":            {change: map[string]string{"/api/v1/namespaces/lab": "403"}, want: []string{"info kube_namespace_unseen"}},
		"a namespace without a rule":    {change: map[string]string{"/api/v1/namespaces/lab": `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"lab"}}`}, want: []string{"warn kube_namespace_loose"}},
		"a namespace that forbids sudo": {config: func(c *Config) { c.Restricted = false }, want: []string{"fail kube_namespace_tight"}},
		"no claim":                      {change: map[string]string{homes: "404"}, want: []string{"fail kube_claim_missing"}},
		"an unbound claim":              {change: map[string]string{homes: claimOf("ReadWriteMany", "Pending")}, want: []string{"warn kube_claim_unbound"}},
		"a claim for one node":          {change: map[string]string{homes: claimOf("ReadWriteOnce", "Bound")}, want: []string{"warn kube_claim_single"}},
		"classes unseen":                {change: map[string]string{"/apis/storage.k8s.io/v1/storageclasses": "403"}, want: []string{"info kube_class_unseen"}},
		"no default class":              {change: map[string]string{"/apis/storage.k8s.io/v1/storageclasses": `{"items":[{"metadata":{"name":"slow"}}]}`}, want: []string{"fail kube_class_no_default"}},
		"another class":                 {config: func(c *Config) { c.Storage.Class = "fast" }, want: []string{"fail kube_class_missing fast"}},
		"no builder":                    {change: map[string]string{"/api/v1/namespaces/lab-build/pods": `{"kind":"PodList","apiVersion":"v1","items":[]}`}, want: []string{"fail kube_builder_missing"}},
		"a registry that asks who":      {change: map[string]string{"/v2/masu/masu/agent/manifests/doctor": "401"}, want: []string{"fail kube_registry_denied"}},
		"a registry in trouble":         {change: map[string]string{"/v2/masu/masu/agent/manifests/doctor": "503"}, want: []string{"fail kube_registry_silent"}},
		"waits for GPUs":                {change: map[string]string{pods: unplaced("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")}, want: []string{"info kube_pending_gpus alice/thesis"}},
		"waits for memory":              {change: map[string]string{pods: unplaced("0/2 nodes are available: 2 Insufficient memory.")}, want: []string{"warn kube_pending_room"}},
		"waits for a volume":            {change: map[string]string{pods: unplaced("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.")}, want: []string{"warn kube_pending_volume"}},
		"kept out":                      {change: map[string]string{pods: unplaced("0/2 nodes are available: 2 node(s) had untolerated taint {a: b}.")}, want: []string{"warn kube_pending_taint"}},
		"its node has gone":             {change: map[string]string{pods: unplaced("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")}, want: []string{"warn kube_pending_node"}},
		"waits for something new":       {change: map[string]string{pods: unplaced("the moon is not full")}, want: []string{"warn kube_pending_other alice/thesis"}},
		"no image":                      {change: map[string]string{pods: waiting(`"initContainerStatuses":[{"image":"r/x","state":{"waiting":{"reason":"ImagePullBackOff"}}}]`)}, want: []string{"warn kube_pending_image"}},
		"cannot be started":             {change: map[string]string{pods: waiting(`"containerStatuses":[{"state":{"waiting":{"reason":"CreateContainerError","message":"no such device"}}}]`)}, want: []string{"warn kube_pending_broken"}},
		"begins":                        {change: map[string]string{pods: waiting(`"containerStatuses":[{"state":{"waiting":{"reason":"PodInitializing"}}}]`)}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := maps.Clone(recorded)
			maps.Copy(answers, c.change)
			may := c.may
			if may == nil {
				may = enough
			}
			config := recording(t, answers, may)
			if c.config != nil {
				c.config(&config)
			}
			var got, good []string
			for _, f := range Examine(t.Context(), config) {
				line := string(f.Severity) + " " + f.Code
				if !text.Has(f.Code) || (f.Severity == masu.Warn || f.Severity == masu.Fail) && !text.Has(f.Code+".fix") {
					t.Errorf("%s has no sentence, or no fix", f.Code)
				}
				if f.Severity == masu.Good {
					good = append(good, line)
				} else {
					got = append(got, strings.TrimSpace(line+" "+strings.Join(f.Args, " ")))
				}
			}
			if len(got) != len(c.want) || c.alone && len(good) > 0 || len(c.want) == 0 && strings.Join(good, ",") != strings.Join(well, ",") {
				t.Fatalf("%q and good %q, want %q", got, good, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("%q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}
