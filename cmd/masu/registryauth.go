package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/masu-lab/masu"
)

// dockerConfig is what of ~/.docker/config.json says how to sign in to registries.
type dockerConfig struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
	Helpers map[string]string `json:"credHelpers"`
	Store   string            `json:"credsStore"`
}

// hubKey is under which name docker login keeps the registry of Docker's own.
const hubKey = "https://index.docker.io/v1/"

var helperName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// registryAuth is what the member's own docker login has left for a registry,
// read as the member; nothing where there is none.
func (a *app) registryAuth(ctx context.Context, ref string) (auth masu.RegistryAuth, err error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return auth, nil // the daemon says what is wrong with it
	}
	dir := a.getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return auth, nil
		}
		dir = filepath.Join(home, ".docker")
	}
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return auth, nil
	}
	var c dockerConfig
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return auth, masu.E(masu.Invalid, "docker_config", path).Because(err)
	}
	return c.auth(ctx, reference.Domain(named))
}

// auth finds what is kept for a registry.
func (c dockerConfig) auth(ctx context.Context, registry string) (auth masu.RegistryAuth, err error) {
	keys := []string{registry, "https://" + registry, "http://" + registry}
	if registry == "docker.io" {
		keys = []string{hubKey, registry}
	}
	for _, key := range keys {
		helper := c.Helpers[key]
		if helper == "" {
			helper = c.Store
		}
		if helper != "" {
			if auth, err := asked(ctx, helper, key); err == nil {
				return auth, nil
			}
		}
		if kept, ok := c.Auths[key]; ok && kept.Auth+kept.IdentityToken != "" {
			words, err := base64.StdEncoding.DecodeString(kept.Auth)
			if err != nil {
				return auth, masu.E(masu.Invalid, "docker_config", registry).Because(err)
			}
			auth.Username, auth.Password, _ = strings.Cut(strings.TrimRight(string(words), "\x00"), ":")
			auth.Token = kept.IdentityToken
			return auth, nil
		}
	}
	return auth, nil
}

// asked asks a credential helper, as docker does.
func asked(ctx context.Context, helper, key string) (auth masu.RegistryAuth, err error) {
	if !helperName.MatchString(helper) {
		return auth, errors.New("odd name of a credential helper")
	}
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(key)
	out, err := cmd.Output()
	if err != nil {
		return auth, err
	}
	var got struct{ Username, Secret string }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&got); err != nil {
		return auth, err
	}
	if got.Username == "<token>" {
		return masu.RegistryAuth{Token: got.Secret}, nil
	}
	return masu.RegistryAuth{Username: got.Username, Password: got.Secret}, nil
}
