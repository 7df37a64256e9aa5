package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/masu-lab/masu/internal/oidc"
	"github.com/masu-lab/masu/internal/web"
)

// oidcConfig is a sign-in service in the configuration file; without an issuer there is none.
type oidcConfig struct {
	Name       string   `yaml:"name"` // what people call it, on the button
	Issuer     string   `yaml:"issuer"`
	ClientID   string   `yaml:"client_id"`
	SecretFile string   `yaml:"secret_file"`
	Claim      string   `yaml:"claim"`
	Domain     string   `yaml:"domain"`
	Scopes     []string `yaml:"scopes"`
}

func (c oidcConfig) check() error {
	if c.Issuer == "" {
		if c.ClientID != "" || c.Name != "" || c.SecretFile != "" {
			return errors.New("oidc.issuer: missing")
		}
		return nil
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1":
		return fmt.Errorf("oidc.issuer: %s: https://…", c.Issuer)
	case c.ClientID == "":
		return errors.New("oidc.client_id: missing")
	case c.Claim == "email" && c.Domain == "":
		return errors.New("oidc.domain: missing: without it anybody with an address of that name could sign in")
	}
	return nil
}

// provider makes the service, and what people call it; nil where there is none.
func (c oidcConfig) provider(pages string) (web.SSO, string, error) {
	if c.Issuer == "" {
		return nil, "", nil
	}
	secret := ""
	if c.SecretFile != "" {
		b, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, "", fmt.Errorf("oidc.secret_file: %w", err)
		}
		secret = strings.TrimSpace(string(b))
	}
	name := c.Name
	if name == "" {
		if u, err := url.Parse(c.Issuer); err == nil {
			name = u.Hostname()
		}
	}
	p, err := oidc.New(oidc.Config{Issuer: c.Issuer, ClientID: c.ClientID, Secret: secret, Redirect: pages + web.CallbackPath, Claim: c.Claim, Domain: c.Domain, Scopes: c.Scopes})
	if err != nil {
		return nil, "", err
	}
	return p, name, nil
}
