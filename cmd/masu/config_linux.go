package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
)

// mostConfig bounds the size of a configuration file.
const mostConfig = 256 << 10

// fileConfig is the daemon's configuration file. A flag wins over a variable,
// a variable over the file, the file over the default.
type fileConfig struct {
	Listen    string     `yaml:"listen"`
	PlainHTTP bool       `yaml:"plain_http"`
	AppPorts  string     `yaml:"app_ports"`
	HostName  string     `yaml:"host_name"`
	TLS       tlsConfig  `yaml:"tls"`
	SSH       sshConfig  `yaml:"ssh"`
	Apps      string     `yaml:"apps_domain"` // a wildcard name of this server's; each app has a name under it
	Engine    string     `yaml:"engine"`
	Kube      kubeConfig `yaml:"kubernetes"`
	Admins    string     `yaml:"admins"`
	Members   string     `yaml:"members"`  // group whose logins may use the lab
	Versions  string     `yaml:"versions"` // an admin's table of versions
	Site      masu.Site  `yaml:"site"`
	OIDC      oidcConfig `yaml:"oidc"`
	PAM       pamConfig  `yaml:"pam"`
	Egress    struct {
		LAN *bool `yaml:"lan"` // may boxes reach the private networks around the host?
	} `yaml:"egress"`
	Wall   bool         `yaml:"public_board"` // everybody who reaches the pages may see the GPUs'
	Mail   mailConfig   `yaml:"mail"`
	Notify notifyConfig `yaml:"notify"`
	Policy policyConfig `yaml:"policy"`
}

// configPath is where the configuration file of this user's daemon is looked for.
func (a *app) configPath() string {
	switch {
	case a.getenv("MASU_CONFIG") != "":
		return a.getenv("MASU_CONFIG")
	case !personal():
		return "/etc/masu/config.yaml"
	case a.getenv("XDG_CONFIG_HOME") != "":
		return filepath.Join(a.getenv("XDG_CONFIG_HOME"), "masu", "config.yaml")
	}
	return filepath.Join(a.home(), ".config", "masu", "config.yaml")
}

// readConfig reads a configuration file strictly; one that is not there is empty.
func readConfig(path string) (fileConfig, error) {
	var c fileConfig
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, masu.E(masu.Invalid, "config_wrong", path, onOneLine(err)).Because(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostConfig+1))
	if err != nil || len(b) > mostConfig {
		return c, masu.E(masu.Invalid, "config_wrong", path, "> 256 KiB").Because(err)
	}
	if onlyComments(b) {
		return c, nil // which the parser calls "no document"
	}
	if err := yaml.Load(b, &c, yaml.WithKnownFields()); err != nil {
		return c, masu.E(masu.Invalid, "config_wrong", path, onOneLine(err)).Because(err)
	}
	_, rules := c.Policy.policy(lab.Policy{})
	if err := errors.Join(c.TLS.check(), c.apps(), c.OIDC.check(), c.PAM.check(), c.Mail.check(), c.SSH.check(), c.Kube.check(), rules); err != nil {
		return c, masu.E(masu.Invalid, "config_wrong", path, located(b, err)).Because(err)
	}
	return c, nil
}

// located puts in front of each complaint, which begins with the key that it is
// about ("policy.memory: …"), the line and column where that key stands.
func located(file []byte, err error) string {
	var root yaml.Node
	if yaml.Load(file, &root) != nil || len(root.Content) != 1 {
		return onOneLine(err)
	}
	var all []string
	for complaint := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(complaint, ": ")
		if n := nodeAt(root.Content[0], key); n != nil {
			complaint = fmt.Sprintf("%d:%d: %s", n.Line, n.Column, complaint)
		}
		all = append(all, complaint)
	}
	return strings.Join(all, "; ")
}

// nodeAt finds a key by its path, or as much of the path as is there; nil where not even its first part is.
func nodeAt(n *yaml.Node, path string) (found *yaml.Node) {
	for part := range strings.SplitSeq(path, ".") {
		var next *yaml.Node
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if n.Content[i].Value == part {
				found, next = n.Content[i], n.Content[i+1]
			}
		}
		if next == nil {
			return found
		}
		n = next
	}
	return found
}

// authorities reads a site's certificate authorities. One that cannot be read
// is left out: builds then fail with the engine's own words, which name it.
func authorities(s masu.Site) []masu.File {
	var all []masu.File
	for _, path := range s.CAFiles {
		if b, err := os.ReadFile(path); err == nil {
			all = append(all, masu.File{Path: filepath.Base(path), Text: string(b)})
		}
	}
	return all
}

// onOneLine joins the complaints of a file, which are shown on one.
func onOneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func onlyComments(b []byte) bool {
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// apps refuses a wildcard name without encryption: only there do browsers keep
// what an app's page may set for the whole domain apart from the pages' cookies.
func (c fileConfig) apps() error {
	switch name := domain(c.Apps); {
	case c.Apps == "":
		return nil
	case !c.TLS.on():
		return errors.New("apps_domain: needs tls")
	case !hostName.MatchString(name):
		return fmt.Errorf("apps_domain: %s: apps.gpu1.example.ac.jp", c.Apps)
	}
	return nil
}

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// domain is a wildcard name, which people write with and without its star.
func domain(s string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "*."), "."))
}

// fill takes from the file what neither a flag nor a variable says.
func (o *serveOptions) fill(flags *pflag.FlagSet, getenv func(string) string, c fileConfig) {
	take := func(to *string, flag, variable, value string) {
		if value != "" && !flags.Changed(flag) && getenv(variable) == "" {
			*to = value
		}
	}
	take(&o.listen, "listen", "MASU_LISTEN", c.Listen)
	take(&o.sshListen, "ssh-listen", "MASU_SSH_LISTEN", c.SSH.Listen)
	take(&o.appPorts, "app-ports", "MASU_APP_PORTS", c.AppPorts)
	take(&o.hostName, "host-name", "MASU_HOST_NAME", c.HostName)
	take(&o.engine, "engine", "MASU_ENGINE", c.Engine)
	take(&o.admins, "admins", "MASU_ADMINS", c.Admins)
	o.plainHTTP = o.plainHTTP || c.PlainHTTP
	o.site, o.policy, o.members, o.versions, o.oidc, o.pam, o.mail, o.notify = c.Site, c.Policy, c.Members, c.Versions, c.OIDC, c.PAM, c.Mail, c.Notify
	o.tls, o.appsDomain = c.TLS, domain(c.Apps)
	o.wall, o.ssh, o.kube = c.Wall, c.SSH, c.Kube
	o.noLAN = c.Egress.LAN != nil && !*c.Egress.LAN
}
