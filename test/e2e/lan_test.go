package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/sys/unix"
)

const (
	lanSpace  = "masu-e2e-lan"
	lanServer = "10.213.9.1"
	lanLaptop = "10.213.9.2"
	lanName   = "gpu.masu.test"
	lanApps   = "apps.gpu.masu.test"
)

// secondMachine is a laptop on the lab's network: a network namespace with a
// way to the server, and through it to wherever the server would let it.
func secondMachine(t *testing.T) {
	t.Helper()
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ip("netns", "add", lanSpace)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", lanSpace).Run() })
	ip("link", "add", "masu-e2e0", "type", "veth", "peer", "name", "lan0", "netns", lanSpace)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "masu-e2e0").Run() }) // at once; a namespace takes its time
	ip("addr", "add", lanServer+"/24", "dev", "masu-e2e0")
	ip("link", "set", "masu-e2e0", "up")
	ip("-n", lanSpace, "addr", "add", lanLaptop+"/24", "dev", "lan0")
	ip("-n", lanSpace, "link", "set", "lan0", "up")
	ip("-n", lanSpace, "route", "add", "default", "via", lanServer)
}

// fromLaptop dials from the second machine.
func fromLaptop(ctx context.Context, _, address string) (net.Conn, error) {
	type result struct {
		c   net.Conn
		err error
	}
	dialled := make(chan result)
	go func() {
		runtime.LockOSThread() // the thread that went there is not given back: it ends with its goroutine
		ns, err := os.Open("/run/netns/" + lanSpace)
		if err != nil {
			dialled <- result{nil, err}
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			dialled <- result{nil, err}
			return
		}
		c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", address)
		dialled <- result{c, err}
	}()
	r := <-dialled
	return r.c, r.err
}

// laptop is a browser of the second machine that resolves every name under
// gpu.masu.test to the server, and trusts only the given certificate.
func laptop(roots *x509.CertPool, port int) *http.Client {
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return fromLaptop(ctx, network, net.JoinHostPort(lanServer, strconv.Itoa(port)))
			},
		},
	}
}

// certify writes a certificate for the pages and every app, and returns it.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{lanName, "*." + lanApps}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair := map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}}
	for name, block := range pair {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(pair["cert.pem"]))
	return roots
}

// TestLAN: the lab's own network reaches the pages by name and encrypted, runs
// a cell at the workspace's own name, and reaches nothing of a box beside that.
func TestLAN(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	secondMachine(t)
	roots := certify(t, l.dir)
	l.kill()
	l.address = net.JoinHostPort(lanServer, strconv.Itoa(l.port))
	l.config = filepath.Join(l.dir, "config.yaml")
	config := fmt.Sprintf("host_name: %s\napps_domain: '*.%s'\ntls: {cert_file: %[3]s/cert.pem, key_file: %[3]s/key.pem}\n", lanName, lanApps, l.dir)
	if err := os.WriteFile(l.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	dir := l.folder(alice, "thesis", nil)
	l.must("e2ealice", "up", "--no-check", dir)
	pages := fmt.Sprintf("https://%s:%d", lanName, l.port)
	app := fmt.Sprintf("https://thesis--e2ealice.%s:%d", lanApps, l.port)

	seesThePages(t, laptop(roots, l.port), pages, app)
	link := l.link("e2ealice")
	if !strings.HasPrefix(link, pages+"/") {
		t.Fatalf("the link is %s", link)
	}
	signsInSealed(t, laptop(roots, l.port), link)
	laptopReachesNoBox(t, l)

	onLAN := []chromedp.ExecAllocatorOption{chromedp.Flag("host-resolver-rules", "MAP *.masu.test "+lanServer), chromedp.Flag("ignore-certificate-errors", true)}
	ctx := browser(t, "en", onLAN...)
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	openApp(t, ctx, "jupyter")
	holds(t, ctx, "Jupyter is at its own name", `location.origin === "`+app+`"`)
	if got := runCell(t, ctx, "print(6*7)"); got != "42" {
		t.Errorf("the cell printed %q", got)
	}
	under := browser(t, "en", onLAN...) // the first one has an unsaved notebook, and would be asked about it
	do(t, under, chromedp.Navigate(l.link("e2ealice")))
	holds(t, under, "she is in", `document.querySelector('a[href="/w/thesis"]')`)
	l.worksUnderTheBar(under, pages, "e2ealice", "thesis")
}

// seesThePages: by their name and encrypted, and by no other.
func seesThePages(t *testing.T, c *http.Client, pages, app string) {
	t.Helper()
	get := func(url, host string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		_ = res.Body.Close()
		return res
	}
	if res := get(pages+"/signin", ""); res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Errorf("the pages: %s %s", res.Proto, res.Status)
	}
	if res := get(pages+"/signin", "evil.example"); res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another name (W17): %s", res.Status)
	}
	if res := get(app+"/lab", ""); res.StatusCode == 200 || !strings.HasPrefix(res.Header.Get("Location"), pages+"/") && res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the app without sign-in: %s %s", res.Status, res.Header.Get("Location"))
	}
	if res := get(strings.Replace(pages, "https://", "http://", 1)+"/signin", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("without encryption: %s", res.Status)
	}
}

// signsInSealed: the session's cookie goes over encrypted connections to this very host only.
func signsInSealed(t *testing.T, c *http.Client, link string) {
	t.Helper()
	res, err := c.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if len(res.Cookies()) == 0 {
		t.Fatalf("no cookie: %s", res.Status)
	}
	for _, k := range res.Cookies() {
		if !k.Secure || !k.HttpOnly || !strings.HasPrefix(k.Name, "__Host-") || k.Domain != "" || k.Path != "/" {
			t.Errorf("cookie %s", k.Raw)
		}
	}
}

// laptopReachesNoBox: a machine that sends its packets to the server finds nothing
// of a box, even what listens there on every address. The server's root does: it listens.
func laptopReachesNoBox(t *testing.T, l *lab) {
	t.Helper()
	id := l.only("e2ealice").ID
	l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "python3 -m http.server 7777 --bind 0.0.0.0 >/dev/null 2>&1 &")
	address := docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "masu-"+id)
	at := net.JoinHostPort(strings.TrimSpace(address), "7777")
	l.until(20*time.Second, "the box's own server listens", func() bool { // asked inside: not even this host may come from outside
		return l.as("e2ealice", "exec", "thesis", "--", "python3", "-c", "import socket; socket.create_connection(('"+strings.TrimSpace(address)+"', 7777), 1)").err == nil
	})
	if c, err := net.DialTimeout("tcp", at, time.Second); err == nil {
		_ = c.Close()
		t.Errorf("a process of this host reaches %s in a box", at)
	}
	if c, err := fromLaptop(t.Context(), "tcp", at); err == nil {
		_ = c.Close()
		t.Errorf("another machine reaches %s in a box", at)
	}
}
