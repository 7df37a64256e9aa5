package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// tlsConfig names the certificate of the pages; the zero one is plain HTTP.
type tlsConfig struct {
	CertFile string `yaml:"cert_file"` // PEM, with those that vouch for it
	KeyFile  string `yaml:"key_file"`
}

func (c tlsConfig) on() bool { return c != tlsConfig{} }

func (c tlsConfig) check() error {
	switch {
	case !c.on():
		return nil
	case c.CertFile == "":
		return errors.New("tls.cert_file: missing")
	case c.KeyFile == "":
		return errors.New("tls.key_file: missing")
	case !filepath.IsAbs(c.CertFile):
		return fmt.Errorf("tls.cert_file: %s: /absolute/path", c.CertFile)
	case !filepath.IsAbs(c.KeyFile):
		return fmt.Errorf("tls.key_file: %s: /absolute/path", c.KeyFile)
	}
	return nil
}

// certLook is how often the files are looked at: whoever renews them need not tell masu.
const certLook = 10 * time.Second

// certificate keeps the files' certificate, and the one before while new files are not whole.
type certificate struct {
	files tlsConfig
	log   *slog.Logger
	now   func() time.Time

	mu     sync.Mutex
	held   *tls.Certificate
	read   stamp
	looked time.Time
}

// stamp tells whether the files are still those that were read.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// newCertificate reads the files. A certificate that is not for all the names is Invalid "tls_names".
func newCertificate(files tlsConfig, log *slog.Logger, names ...string) (*certificate, error) {
	c := &certificate{files: files, log: log, now: time.Now}
	held, err := c.load()
	if err != nil {
		return nil, masu.E(masu.Invalid, "tls_files", files.CertFile, files.KeyFile, onOneLine(err)).Because(err)
	}
	for _, name := range names {
		if err := held.Leaf.VerifyHostname(name); err != nil {
			return nil, masu.E(masu.Invalid, "tls_names", files.CertFile, name).Because(err)
		}
	}
	c.held, c.looked = held, c.now()
	return c, nil
}

// config is for servers: HTTP/2 where the browser speaks it, TLS 1.2 or newer.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.current, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
}

// current is the certificate for a new connection.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certLook {
		c.looked = now
		if now, err := c.stamp(); err == nil && now != c.read {
			if held, err := c.load(); err == nil {
				c.held = held
				c.log.Info("certificate renewed", "file", c.files.CertFile, "until", held.Leaf.NotAfter)
			} else {
				c.log.Warn("new certificate not taken", "file", c.files.CertFile, "error", err)
			}
		}
	}
	return c.held, nil
}

// load reads the files, and notes which ones they were.
func (c *certificate) load() (*tls.Certificate, error) {
	at, err := c.stamp() // before: what changes meanwhile is read again
	if err != nil {
		return nil, err
	}
	c.read = at
	held, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return nil, err
	}
	held.Leaf, err = x509.ParseCertificate(held.Certificate[0])
	return &held, err
}

func (c *certificate) stamp() (stamp, error) {
	cert, err1 := os.Stat(c.files.CertFile)
	key, err2 := os.Stat(c.files.KeyFile)
	if err := cmp.Or(err1, err2); err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// certify reads the certificate, which must be for every name that browsers are told.
func (o *serveOptions) certify(log *slog.Logger) (err error) {
	if !o.tls.on() {
		return nil
	}
	if o.named == "" {
		return masu.E(masu.Invalid, "tls_nameless")
	}
	names := []string{o.named}
	if o.appsDomain != "" {
		names = append(names, "any."+o.appsDomain)
	}
	o.cert, err = newCertificate(o.tls, log, names...)
	return err
}
