package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCertificate(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "cert.pem")
	examine := func() string {
		t.Helper()
		found := checkCertificate(t.Context(), &exam{Config: Config{CertFile: file, Root: "/", Now: func() (time.Time, bool) { return now, true }}})
		if len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		return string(found[0].Severity) + " " + found[0].Code
	}
	if got := examine(); got != "fail cert_unread" {
		t.Errorf("no file: %s", got)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]string{60 * 24 * time.Hour: "ok cert_ok", 13 * 24 * time.Hour: "warn cert_ends", -time.Minute: "fail cert_ended"} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-90 * 24 * time.Hour), NotAfter: now.Add(left)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := examine(); got != want {
			t.Errorf("%s left: %s, want %s", left, got, want)
		}
	}
	for _, text := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := examine(); got != "fail cert_unread" {
			t.Errorf("%q: %s", text, got)
		}
	}
}
