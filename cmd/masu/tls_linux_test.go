package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// writeCertificate makes one that vouches for itself, for the names.
func writeCertificate(t *testing.T, files tlsConfig, serial int64, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: cert}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func certFiles(t *testing.T) tlsConfig {
	dir := t.TempDir()
	return tlsConfig{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

func TestCertificateIsForTheNames(t *testing.T) {
	files := certFiles(t)
	for name, c := range map[string]struct {
		names []string
		named string
		apps  string
		code  string
	}{
		"both":         {[]string{"gpu.example", "*.apps.gpu.example"}, "gpu.example", "apps.gpu.example", ""},
		"pages only":   {[]string{"gpu.example"}, "gpu.example", "", ""},
		"no wildcard":  {[]string{"gpu.example"}, "gpu.example", "apps.gpu.example", "tls_names"},
		"another name": {[]string{"www.example"}, "gpu.example", "", "tls_names"},
		"no name":      {[]string{"www.example"}, "", "", "tls_nameless"},
	} {
		writeCertificate(t, files, 1, c.names...)
		o := serveOptions{tls: files, named: c.named, appsDomain: c.apps}
		if err := o.certify(slog.New(slog.DiscardHandler)); err == nil && c.code != "" || err != nil && masu.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	writeCertificate(t, tlsConfig{files.CertFile, filepath.Join(t.TempDir(), "other")}, 1, "gpu.example")
	o := serveOptions{tls: files, named: "gpu.example"}
	if err := o.certify(slog.New(slog.DiscardHandler)); masu.CodeOf(err) != "tls_files" {
		t.Errorf("a key of another certificate: %v", err)
	}
}

func TestCertificateIsRenewed(t *testing.T) {
	files := certFiles(t)
	writeCertificate(t, files, 1, "gpu.example")
	c, err := newCertificate(files, slog.New(slog.DiscardHandler), "gpu.example")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() int64 {
		held, err := c.current(nil)
		if err != nil {
			t.Fatal(err)
		}
		return held.Leaf.SerialNumber.Int64()
	}
	writeCertificate(t, files, 2, "gpu.example")
	now = now.Add(certLook)
	if n := serial(); n != 2 {
		t.Errorf("renewed: %d", n)
	}
	if err := os.WriteFile(files.CertFile, []byte("half of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certLook)
	if n := serial(); n != 2 {
		t.Errorf("while the files are not whole: %d", n)
	}
	writeCertificate(t, files, 3, "gpu.example")
	now = now.Add(certLook)
	if n := serial(); n != 3 {
		t.Errorf("whole again: %d", n)
	}
}

func TestAddresses(t *testing.T) {
	sealed := tlsConfig{"/c", "/k"}
	for name, c := range map[string]struct {
		o      serveOptions
		port   int
		pages  string
		suffix string
	}{
		"loopback":          {serveOptions{host: "127.0.0.1", named: "gpu.example"}, 8888, "http://localhost:8888", "localhost:8888"},
		"plain, named":      {serveOptions{host: "0.0.0.0", named: "gpu.example"}, 8888, "http://gpu.example:8888", "localhost:8888"},
		"plain, usual port": {serveOptions{host: "192.0.2.7"}, 80, "http://192.0.2.7", "localhost:80"},
		"six":               {serveOptions{host: "2001:db8::7"}, 80, "http://[2001:db8::7]", "localhost:80"},
		"encrypted":         {serveOptions{host: "0.0.0.0", named: "gpu.example", tls: sealed, appsDomain: "apps.gpu.example"}, 443, "https://gpu.example", "apps.gpu.example"},
		"another port":      {serveOptions{host: "127.0.0.1", named: "gpu.example", tls: sealed, appsDomain: "apps.gpu.example"}, 8443, "https://gpu.example:8443", "apps.gpu.example:8443"},
	} {
		if got := c.o.origins(c.port); got.Pages != c.pages || got.Suffix != c.suffix {
			t.Errorf("%s: %s, %s", name, got.Pages, got.Suffix)
		}
	}
}

func TestAppsDomainNeedsEncryption(t *testing.T) {
	for apps, ok := range map[string]bool{"": true, "*.apps.gpu.example": true, "apps.gpu.example.": true, "apps": false, "a b.example": false, "http://x.example": false} {
		if err := (fileConfig{TLS: tlsConfig{"/c", "/k"}, Apps: apps}).apps(); (err == nil) != ok {
			t.Errorf("%q: %v", apps, err)
		}
	}
	if err := (fileConfig{Apps: "apps.gpu.example"}).apps(); err == nil {
		t.Error("a wildcard name without encryption is taken")
	}
}
