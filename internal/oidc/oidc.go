// Package oidc lets members sign in at their university's or their lab's own
// sign-in service, by OpenID Connect's authorisation code flow with PKCE.
package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/masu-lab/masu"
)

// answerTime bounds each question to the service.
const answerTime = 10 * time.Second

// Config says which service, and what it knows masu as.
type Config struct {
	Issuer   string // URL
	ClientID string
	Secret   string // "" for a public client
	Redirect string // URL of masu's own page to come back to
	Claim    string // that names the login on this host; "" means preferred_username
	Domain   string // what follows the @ of an address that Claim holds: only members of it are let in, and it is cut off
	Scopes   []string
	Client   *http.Client // nil for the usual one
}

// Provider is the service. It is asked about itself at the first sign-in, so
// that a service that is away keeps nobody from starting masu.
type Provider struct {
	cfg Config

	mu    sync.Mutex
	known *service // nil until it was asked
}

// service is what a sign-in service tells about itself.
type service struct {
	*oidc.Provider
	oauth    *oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// New checks the configuration.
func New(c Config) (*Provider, error) {
	if c.Issuer == "" || c.ClientID == "" || c.Redirect == "" {
		return nil, errors.New("oidc: a part of Config is missing")
	}
	if c.Claim == "" {
		c.Claim = "preferred_username"
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: answerTime}
	}
	return &Provider{cfg: c}, nil
}

// Try is one sign-in under way; the browser that began it keeps it.
type Try struct{ State, Nonce, Verifier string }

// NewTry makes the secrets of one sign-in.
func NewTry() Try {
	return Try{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier()}
}

// discover asks the service about itself, once.
func (p *Provider) discover(ctx context.Context) (*service, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	// What the library keeps from this context outlives the request.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.cfg.Client), p.cfg.Issuer)
	if err != nil {
		return nil, masu.E(masu.Unreachable, "oidc_unreachable", p.cfg.Issuer).Because(err)
	}
	scopes := append([]string{oidc.ScopeOpenID, "profile"}, p.cfg.Scopes...)
	p.known = &service{found, &oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.Secret, Endpoint: found.Endpoint(), RedirectURL: p.cfg.Redirect, Scopes: scopes},
		found.Verifier(&oidc.Config{ClientID: p.cfg.ClientID})}
	return p.known, nil
}

// Begin gives the address at the service to which the browser goes.
func (p *Provider) Begin(ctx context.Context, t Try) (string, error) {
	known, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return known.oauth.AuthCodeURL(t.State, oidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier)), nil
}

// Finish tells whose sign-in it was, from what the browser brought back.
// Whatever is wrong with it is Denied "signin_wrong".
func (p *Provider) Finish(ctx context.Context, t Try, state, code string) (masu.Username, error) {
	if t.State == "" || code == "" || subtle.ConstantTimeCompare([]byte(state), []byte(t.State)) != 1 {
		return "", masu.E(masu.Denied, "signin_wrong").Because(errors.New("the state is not that of this browser"))
	}
	known, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	claims, err := p.claims(oidc.ClientContext(ctx, p.cfg.Client), known, t, code)
	if err != nil {
		return "", masu.E(masu.Denied, "signin_wrong").Because(err)
	}
	return p.login(claims)
}

// claims gives what the service says of who signed in: in the ID token, or,
// where it is sparing with words there, when it is asked with the access token.
func (p *Provider) claims(ctx context.Context, known *service, t Try, code string) (map[string]any, error) {
	token, err := known.oauth.Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := known.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(t.Nonce)) != 1 {
		return nil, errors.New("the nonce is not that of this sign-in")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil || claims[p.cfg.Claim] != nil {
		return claims, err
	}
	info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, err
	}
	if info.Subject != id.Subject {
		return nil, errors.New("the service speaks of somebody else")
	}
	return claims, info.Claims(&claims)
}

// login reads the name of the login on this host.
func (p *Provider) login(claims map[string]any) (masu.Username, error) {
	said, _ := claims[p.cfg.Claim].(string)
	if said == "" {
		return "", masu.E(masu.Denied, "signin_wrong").Because(fmt.Errorf("the service does not say %s", p.cfg.Claim))
	}
	if p.cfg.Claim == "email" && claims["email_verified"] != true {
		return "", masu.E(masu.Denied, "signin_wrong").Because(errors.New("the address is not verified"))
	}
	if p.cfg.Domain == "" {
		return masu.Username(said), nil
	}
	name, ok := strings.CutSuffix(said, "@"+p.cfg.Domain)
	if !ok || name == "" || strings.Contains(name, "@") {
		return "", masu.E(masu.Denied, "signin_wrong").Because(fmt.Errorf("%s is not of %s", said, p.cfg.Domain))
	}
	return masu.Username(name), nil
}
