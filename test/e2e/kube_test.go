package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	kubeAddress   = "https://127.0.0.1:16443"
	kubeNamespace = "masu-story" // which test/kube/lab.sh has made
)

// cluster is the one of test/kube/up.sh, and the lab that runs on it.
type cluster struct {
	*lab
	state string
	token string
	api   http.Client
}

// onCluster tells whether there is a cluster to test on.
func onCluster() bool { return os.Getenv("MASU_KUBE") != "" }

// newCluster gives a lab whose boxes run on the cluster, as docs/en/kubernetes.md
// says: what masu prints is applied, and its account is the only one that it has.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if !onCluster() {
		t.Skip("MASU_KUBE is not set; make test-kube sets it")
	}
	state := os.Getenv("MASU_KUBE")
	c := &cluster{lab: unstartedLab(t), state: state}
	c.cluster = c
	registry, err := os.ReadFile(filepath.Join(state, "registry.address"))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(c.dir, "kubeconfig")
	c.needs = fmt.Sprintf("kubernetes:\n  registry: %s/masu\n  kubeconfig: %s\n  namespace: %s\n  builder_namespace: masu-test\n  memory: 1GiB\n  storage: {home: 1GiB, folders: {/home: homes}}\n",
		strings.TrimSpace(string(registry)), kubeconfig, kubeNamespace)
	c.configure("")
	printed := exec.Command(c.bin, "kube", "manifests")
	printed.Env = append(os.Environ(), "MASU_CONFIG="+c.config)
	manifests, err := printed.Output()
	if err != nil {
		t.Fatalf("masu kube manifests: %v", err)
	}
	c.kubectl(string(manifests), "apply", "-f", "-")
	c.kubectl("", "-n", "masu-test", "delete", "deployment", "masu-buildkit") // its image is not to be had here; lab.sh's does the same
	c.until(30*time.Second, "the account has its token", func() bool {
		b, err := base64.StdEncoding.DecodeString(c.kubectl("", "-n", kubeNamespace, "get", "secret", "masu-token", "-o", "jsonpath={.data.token}"))
		c.token = string(b)
		return err == nil && c.token != ""
	})
	ca := filepath.Join(state, "pki", "ca.crt")
	c.write(kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}], users: [{name: u, user: {token: %q}}]}`, kubeAddress, ca, c.token))
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c.api.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	c.start()
	return c
}

// kubectl runs the cluster's own client as its administrator.
func (c *cluster) kubectl(stdin string, args ...string) string {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(os.Getenv("MASU_KUBE_BIN"), "kubeall"), append([]string{"kubectl", "--kubeconfig", filepath.Join(c.state, "admin.kubeconfig")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// pods gives the phase of each pod of the lab.
func (c *cluster) pods() map[string]string {
	c.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(c.kubectl("", "-n", kubeNamespace, "get", "pods", "-l", "masu.workspace", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.phase}{"\n"}{end}`)) {
		if f := strings.Fields(line); len(f) == 2 {
			all[f[0]] = f[1]
		}
	}
	return all
}

// TestClusterDay is a member's day on a cluster, by the same page and the same
// commands as on one server; masu is killed while a workspace starts; and at the
// end the cluster has nothing of it any more.
func TestClusterDay(t *testing.T) {
	c := newCluster(t)
	alice, bob := c.member("e2ekana"), c.member("e2eken")
	for _, home := range []string{alice.HomeDir, bob.HomeDir} {
		if err := os.Chmod(home, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir := c.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	c.must("e2ekana", "up", dir)
	w := c.only("e2ekana")
	if got := c.pods(); len(got) != 1 || got["masu-"+w.ID] != "Running" {
		t.Fatalf("a workspace that runs has the pods %v", got)
	}

	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(c.link("e2ekana")))
	holds(t, ctx, "she is in", `document.querySelector('a[href="/w/thesis"]')`)
	do(t, ctx, chromedp.Navigate(fmt.Sprintf("http://localhost:%d/w/thesis", c.port)))
	openApp(t, ctx, "jupyter")
	if got := runCell(t, ctx, `import getpass, socket; open("/home/e2ekana/work/from-a-pod", "w").write("6 x 7"); print(getpass.getuser(), socket.gethostname(), 6 * 7)`); got != "e2ekana thesis 42" {
		t.Errorf("the cell printed %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "from-a-pod")); err != nil || string(b) != "6 x 7" {
		t.Errorf("what the cell wrote is in her folder as %q, %v", b, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "from-a-pod")); err != nil || fmt.Sprint(fi.Sys().(*syscall.Stat_t).Uid) != alice.Uid {
		t.Errorf("and is not hers: %+v, %v", fi, err)
	}

	c.keeps(w)
	p := c.sshClient()
	p.authorize(alice, p.key("alice"))
	if r := p.ssh("alice", "thesis", "id -un; cat ~/kept ~/work/from-a-pod; exit 7"); r.code != 7 || r.out != "e2ekana\nkept\n6 x 7" {
		t.Errorf("by ssh: %d, %q, %q", r.code, r.out, r.errOut)
	}
	if r := c.as("e2eken", "exec", "e2ekana/thesis", "--", "true"); r.code == 0 {
		t.Error("another member gets in")
	}
	c.killedMidStart(w, dir)
	c.measure(w, dir)

	c.must("e2ekana", "rm", "--yes", "thesis")
	if got := c.pods(); len(got) > 0 {
		t.Errorf("after the last workspace has gone there are the pods %v", got)
	}
	if got := c.kubectl("", "-n", kubeNamespace, "get", "pvc", "-l", "masu.workspace="+w.ID, "-o", "name"); got != "" {
		t.Errorf("after the last workspace has gone there are the claims %q", got)
	}
}

// keeps: home and project folder outlive a stop, and nothing else does.
func (c *cluster) keeps(w workspace) {
	c.t.Helper()
	c.must("e2ekana", "exec", "thesis", "--", "sh", "-c", "echo kept > ~/kept; echo gone > /tmp/gone")
	c.must("e2ekana", "stop", "thesis")
	if got := c.pods()["masu-"+w.ID]; got == "Running" || got == "Pending" {
		c.t.Errorf("the pod of a stopped workspace is %s", got)
	}
	c.must("e2ekana", "up", "thesis")
	if got := c.must("e2ekana", "exec", "thesis", "--", "sh", "-c", "cat ~/kept ~/work/from-a-pod; ls /tmp/gone 2>/dev/null || echo; echo end"); got != "kept\n6 x 7\nend\n" {
		c.t.Errorf("after a stop and a start there is %q", got)
	}
	c.must("e2ekana", "check", "thesis")
}

// killedMidStart kills the daemon at some instant of a start: afterwards pods
// and workspaces are one to one, and trying again works.
func (c *cluster) killedMidStart(w workspace, dir string) {
	c.t.Helper()
	for range 2 {
		c.must("e2ekana", "stop", "thesis")
		up := c.command("e2ekana", dir, "up", "--no-check", "--quiet")
		if err := up.Start(); err != nil {
			c.t.Fatal(err)
		}
		after := time.Duration(rand.IntN(3000)) * time.Millisecond
		time.Sleep(after) // the instant is the test's subject
		c.kill()
		_ = up.Wait()
		c.start()
		phase := ""
		c.until(2*time.Minute, "the workspace has settled", func() bool {
			phase = c.phase("e2ekana", "thesis")
			return slices.Contains([]string{"running", "failed", "stopped"}, phase)
		})
		pods := c.pods()
		if alive := pods["masu-"+w.ID] == "Running" || pods["masu-"+w.ID] == "Pending"; len(pods) > 1 || alive != (phase == "running") {
			c.t.Errorf("killed after %v the workspace is %s, the pods are %v", after, phase, pods)
		}
		if r := c.as("e2ekana", "up", "--no-check", "--quiet", dir); r.err != nil {
			c.t.Fatalf("killed after %v: trying again: %v\n%s", after, r.err, r.errOut)
		}
	}
}

// measure tells how long it takes from "masu up" to a notebook that answers,
// and from the order for a pod of the same image, limits and volumes that is nobody's.
func (c *cluster) measure(w workspace, dir string) {
	c.t.Helper()
	bare := c.barePod(w)
	var byMasu, byHand []time.Duration
	for range 3 {
		c.must("e2ekana", "stop", "thesis")
		byHand = append(byHand, c.startBare(bare))
		begun := time.Now()
		c.must("e2ekana", "up", "--no-check", "--quiet", dir)
		byMasu = append(byMasu, time.Since(begun))
	}
	slices.Sort(byMasu)
	slices.Sort(byHand)
	c.t.Logf("start to notebook, median of 3: masu %.2f s, a bare pod %.2f s (%.2f)", byMasu[1].Seconds(), byHand[1].Seconds(), byMasu[1].Seconds()/byHand[1].Seconds())
}

// barePod describes a pod that runs the same JupyterLab as the workspace's does.
func (c *cluster) barePod(w workspace) map[string]any {
	c.t.Helper()
	jupyter := strings.TrimSpace(c.must("e2ekana", "exec", "thesis", "--", "sh", "-c", "command -v jupyter-lab"))
	var pod struct {
		Spec map[string]any
	}
	if err := json.Unmarshal([]byte(c.kubectl("", "-n", kubeNamespace, "get", "pod", "masu-"+w.ID, "-o", "json")), &pod); err != nil {
		c.t.Fatal(err)
	}
	box := pod.Spec["containers"].([]any)[0].(map[string]any)
	var mounts []any
	for _, m := range box["volumeMounts"].([]any) {
		if at := m.(map[string]any)["mountPath"].(string); at == "/dev/shm" || strings.HasPrefix(at, "/home/") {
			mounts = append(mounts, m)
		}
	}
	box["volumeMounts"] = mounts
	box["command"], box["args"] = []string{jupyter, "--ip=0.0.0.0", "--no-browser", "--IdentityProvider.token="}, []string{}
	box["env"] = []any{map[string]any{"name": "HOME", "value": "/home/e2ekana"}}
	box["workingDir"] = "/home/e2ekana/work"
	delete(pod.Spec, "initContainers")
	delete(pod.Spec, "nodeName")
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "bare"}, "spec": pod.Spec}
}

// startBare orders the pod, and tells how long it takes until its JupyterLab answers; then it is gone again.
func (c *cluster) startBare(pod map[string]any) time.Duration {
	c.t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		c.t.Fatal(err)
	}
	const pods = "/api/v1/namespaces/" + kubeNamespace + "/pods"
	begun := time.Now()
	c.ask(http.MethodPost, pods, text, nil)
	c.until(time.Minute, "the bare pod's JupyterLab answers", func() bool {
		var now struct{ Status struct{ PodIP string } }
		c.ask(http.MethodGet, pods+"/bare", nil, &now)
		if now.Status.PodIP == "" {
			return false
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+now.Status.PodIP+":8888/api", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	took := time.Since(begun)
	c.kubectl("", "-n", kubeNamespace, "delete", "pod", "bare", "--grace-period=1")
	return took
}

// ask speaks to the API server with the rights that masu has.
func (c *cluster) ask(method, path string, body []byte, answer any) {
	c.t.Helper()
	q, err := http.NewRequestWithContext(c.t.Context(), method, kubeAddress+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+c.token)
	q.Header.Set("Content-Type", "application/json")
	res, err := c.api.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		c.t.Fatalf("%s %s: %s, %v: %s", method, path, res.Status, err, raw)
	}
	if answer != nil {
		if err := json.Unmarshal(raw, answer); err != nil {
			c.t.Fatal(err)
		}
	}
}
