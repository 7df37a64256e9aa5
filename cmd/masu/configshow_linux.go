package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
)

// setting is one key of the configuration as it holds.
type setting struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	From  string `json:"from"` // "default", "file", "rules" (an admin's, while the lab runs), or a variable's name
}

// variables may say what a key of the file says.
var variables = map[string]string{"listen": "MASU_LISTEN", "ssh.listen": "MASU_SSH_LISTEN", "plain_http": "MASU_PLAIN_HTTP", "app_ports": "MASU_APP_PORTS", "host_name": "MASU_HOST_NAME", "engine": "MASU_ENGINE", "admins": "MASU_ADMINS"}

func (a *app) configShowCommand() *cobra.Command {
	c := a.command("config.show", "show [FILE]", "", a.args(0, 1), func(ctx context.Context, args []string) error {
		path := a.configPath()
		if len(args) > 0 {
			path = args[0]
		}
		list, err := a.settings(path)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			a.overrule(ctx, list)
		}
		if a.json {
			return a.data(list)
		}
		t := a.table("col.key", "col.value", "col.from_where")
		for _, s := range list {
			t.row(s.Key, written(s.Value), s.From)
		}
		t.write()
		return nil
	})
	a.jsonFlag(c)
	return c
}

// settings tells what would hold for a daemon that is started with this file.
func (a *app) settings(path string) ([]setting, error) {
	c, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	p, err := c.Policy.policy(lab.DefaultPolicy(newFacts(nil, c.Site).machine()))
	if err != nil {
		return nil, err
	}
	o := a.serveDefaults()
	o.fill(new(pflag.FlagSet), a.getenv, c)
	list := append(slices.Concat(o.settings(), policySettings(p)), setting{Key: "policy.gpus.cdi", Value: c.Policy.GPUs.CDI})
	said, err := keysSaid(path)
	for i, s := range list {
		switch {
		case variables[s.Key] != "" && a.getenv(variables[s.Key]) != "":
			list[i].From = variables[s.Key]
		case said(s.Key):
			list[i].From = "file"
		default:
			list[i].From = "default"
		}
		list[i].Value = withoutSecrets(s.Value)
	}
	return list, err
}

// keysSaid tells of each key whether the file says something about it.
func keysSaid(path string) (func(key string) bool, error) {
	none := func(string) bool { return false }
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && onlyComments(b) {
		return none, nil
	}
	var root yaml.Node
	if err == nil {
		err = yaml.Load(b, &root)
	}
	if err != nil || len(root.Content) != 1 {
		return none, err
	}
	return func(key string) bool {
		at := root.Content[0]
		for part := range strings.SplitSeq(key, ".") {
			var next *yaml.Node
			for i := 0; i+1 < len(at.Content) && at.Kind == yaml.MappingNode; i += 2 {
				if at.Content[i].Value == part {
					next = at.Content[i+1]
				}
			}
			if next == nil {
				return false
			}
			at = next
		}
		return true
	}, nil
}

// overrule puts an admin's rules over the file's, where the daemon tells them to who asks.
func (a *app) overrule(ctx context.Context, list []setting) {
	var now masu.RulesNow
	if err := a.with(ctx, func(s service) (err error) { now, err = s.Rules(ctx); return err }); err != nil {
		a.note("config_rules_unseen")
		return
	}
	for _, r := range masu.HouseRules() {
		said := r.Text(now.Set)
		i := slices.IndexFunc(list, func(s setting) bool { return s.Key == r.Key })
		if said == "" || i < 0 {
			continue
		}
		list[i].Value, list[i].From = settingOf(r, said), "rules"
	}
}

// settingOf is a rule's value as the file would say it.
func settingOf(r masu.Rule, said string) any {
	f, err := strconv.ParseFloat(said, 64)
	switch {
	case r.Unit == masu.RuleYesNo:
		return said == "yes"
	case err != nil:
		return said
	case r.Unit.Span() > 0:
		return spanned(time.Duration(f * float64(r.Unit.Span())))
	}
	return f
}

// settings lists what is no house rule, in the order of the commented file.
func (o serveOptions) settings() []setting {
	return []setting{
		{Key: "listen", Value: o.listen}, {Key: "ssh.listen", Value: o.sshListen},
		{Key: "ssh.user_ca", Value: o.ssh.UserCA}, {Key: "ssh.revoked_keys", Value: o.ssh.RevokedKeys}, {Key: "ssh.host_cert", Value: o.ssh.HostCert},
		{Key: "ssh.agent_forwarding", Value: cmp.Or(o.ssh.AgentForwarding, sshOn)},
		{Key: "plain_http", Value: o.plainHTTP}, {Key: "app_ports", Value: o.appPorts}, {Key: "host_name", Value: o.hostName},
		{Key: "tls.cert_file", Value: o.tls.CertFile}, {Key: "tls.key_file", Value: o.tls.KeyFile}, {Key: "apps_domain", Value: o.appsDomain},
		{Key: "engine", Value: o.engine}, {Key: "admins", Value: o.admins}, {Key: "members", Value: o.members}, {Key: "versions", Value: o.versions},
		{Key: "kubernetes.registry", Value: o.kube.Registry}, {Key: "kubernetes.kubeconfig", Value: o.kube.Kubeconfig}, {Key: "kubernetes.context", Value: o.kube.Context},
		{Key: "kubernetes.namespace", Value: cmp.Or(o.kube.Namespace, kubeNamespace)}, {Key: "kubernetes.builder", Value: cmp.Or(o.kube.Builder, "app=masu-buildkit")}, {Key: "kubernetes.builder_namespace", Value: cmp.Or(o.kube.BuilderNamespace, cmp.Or(o.kube.Namespace, kubeNamespace)+"-build")},
		{Key: "kubernetes.pull_secrets", Value: o.kube.PullSecrets}, {Key: "kubernetes.sudo", Value: o.kube.Sudo}, {Key: "kubernetes.memory", Value: cmp.Or(o.kube.Memory, "8GiB")},
		{Key: "kubernetes.kueue.queue", Value: o.kube.Kueue.Queue}, {Key: "kubernetes.kueue.groups", Value: o.kube.Kueue.Groups}, {Key: "kubernetes.kueue.priority", Value: o.kube.Kueue.Priority}, {Key: "kubernetes.kueue.run_priority", Value: o.kube.Kueue.RunPriority},
		{Key: "kubernetes.storage.class", Value: o.kube.Storage.Class}, {Key: "kubernetes.storage.home", Value: cmp.Or(o.kube.Storage.Home, "20GiB")}, {Key: "kubernetes.storage.folders", Value: o.kube.Storage.Folders},
		{Key: "public_board", Value: o.wall},
		{Key: "site.ca_files", Value: o.site.CAFiles}, {Key: "site.apt_mirror", Value: o.site.AptMirror}, {Key: "site.pip_index", Value: o.site.PipIndex},
		{Key: "site.torch_index", Value: o.site.TorchIndex}, {Key: "site.proxy", Value: o.site.Proxy},
		{Key: "oidc.name", Value: o.oidc.Name}, {Key: "oidc.issuer", Value: o.oidc.Issuer}, {Key: "oidc.client_id", Value: o.oidc.ClientID},
		{Key: "oidc.secret_file", Value: o.oidc.SecretFile}, {Key: "oidc.claim", Value: o.oidc.Claim}, {Key: "oidc.domain", Value: o.oidc.Domain}, {Key: "oidc.scopes", Value: o.oidc.Scopes},
		{Key: "pam.helper", Value: o.pam.Helper}, {Key: "pam.service", Value: cmp.Or(o.pam.Service, pamDefault)},
		{Key: "egress.lan", Value: !o.noLAN},
		{Key: "mail.server", Value: o.mail.Server}, {Key: "mail.from", Value: o.mail.From}, {Key: "mail.user", Value: o.mail.User},
		{Key: "mail.password_file", Value: o.mail.PasswordFile}, {Key: "mail.tls", Value: o.mail.TLS}, {Key: "notify.local", Value: o.notify.Local},
	}
}

// policySettings lists the house rules.
func policySettings(p lab.Policy) []setting {
	datasets := map[string]string{}
	for _, m := range p.Datasets {
		datasets[strings.TrimPrefix(m.Target, "/data/")] = m.Folder
	}
	classes := map[string]any{}
	for _, c := range p.GPUs.Classes {
		classes[c.Name] = map[string]any{"head_start": spanned(c.HeadStart), "groups": c.Groups}
	}
	list := []setting{
		{Key: "sudo", Value: p.Sudo}, {Key: "own_dockerfile", Value: p.OwnDockerfile}, {Key: "load_images", Value: p.LoadImages}, {Key: "registries", Value: p.Registries}, {Key: "guests", Value: p.Guests},
		{Key: "share_apps", Value: string(p.ShareApps)},
		{Key: "workspaces_per_member", Value: p.WorkspacesPerMember}, {Key: "images_per_member", Value: p.ImagesPerMember.String()}, {Key: "runs_per_member", Value: p.RunsPerMember}, {Key: "builds_at_once", Value: p.BuildsAtOnce}, {Key: "builds_per_member", Value: p.BuildsPerMember},
		{Key: "starts_at_once", Value: p.StartsAtOnce}, {Key: "build_within", Value: spanned(p.BuildWithin)}, {Key: "session_for", Value: spanned(p.SessionFor)},
		{Key: "min_password", Value: p.MinPassword}, {Key: "cpus", Value: p.Limits.CPUs}, {Key: "memory", Value: p.Limits.Memory.String()}, {Key: "shm", Value: p.Limits.Shm.String()},
		{Key: "pids", Value: p.Limits.PIDs}, {Key: "disk", Value: p.Limits.Disk.String()}, {Key: "spare_state", Value: p.SpareState.String()}, {Key: "spare_engine", Value: p.SpareEngine.String()},
		{Key: "datasets", Value: datasets},
		{Key: "gpus.per_member", Value: p.GPUs.PerMember}, {Key: "gpus.per_group", Value: p.GPUs.PerGroup}, {Key: "gpus.hold", Value: spanned(p.GPUs.Hold)},
		{Key: "gpus.hold_most", Value: spanned(p.HoldMost)}, {Key: "gpus.keeps", Value: p.KeepsMost}, {Key: "gpus.grace", Value: spanned(p.GPUs.Grace)}, {Key: "gpus.slot", Value: spanned(p.GPUs.Slot)},
		{Key: "gpus.idle_for", Value: spanned(p.GPUs.IdleFor)}, {Key: "gpus.idle_always", Value: p.GPUs.IdleAlways}, {Key: "gpus.half_life", Value: spanned(p.HalfLife)},
		{Key: "gpus.aging", Value: p.GPUs.Aging}, {Key: "gpus.classes", Value: classes}, {Key: "gpus.notice", Value: spanned(p.GPUs.Notice)},
		{Key: "gpus.no_show", Value: spanned(p.GPUs.NoShow)}, {Key: "gpus.horizon", Value: spanned(p.Horizon)}, {Key: "gpus.reserve_most", Value: p.ReserveMost},
		{Key: "gpus.reserve_gpu_hours", Value: p.ReserveGPUHours},
	}
	for i := range list {
		list[i].Key = "policy." + list[i].Key
	}
	return list
}

// spanned writes a span as the file does: "7d", "2h", "15m".
func spanned(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	switch {
	case d == 0:
		return "0"
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// written shows a value on one line.
func written(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil || string(b) == "null" || string(b) == "{}" || string(b) == "[]" {
		return ""
	}
	return string(b)
}

// credentials are what an address may carry before its host.
var credentials = regexp.MustCompile(`://\S+@`)

// withoutSecrets hides passwords in addresses; the file holds no others, only the paths of files with them.
func withoutSecrets(v any) any {
	switch v := v.(type) {
	case string:
		return credentials.ReplaceAllString(v, "://***@")
	case map[string]string:
		hidden := map[string]string{}
		for k, s := range v {
			hidden[k] = credentials.ReplaceAllString(s, "://***@")
		}
		return hidden
	}
	return v
}
