package main

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kube"
)

// builderImage is BuildKit's own, which needs no root.
const builderImage = "moby/buildkit:rootless"

func (a *app) kubeCommand() *cobra.Command {
	c := a.command("kube", "kube", groupServer, a.knownCommand, nil)
	c.AddCommand(a.kubeManifestsCommand(), a.kubeChartCommand(), a.kubePushCommand())
	return c
}

// clusterOptions are what the administrator says of the cluster beside the configuration.
type clusterOptions struct {
	builder, image, state, service string
	replicas                       int32
	inside                         bool
}

func (a *app) kubeManifestsCommand() *cobra.Command {
	var o clusterOptions
	m := a.command("kube.manifests", "manifests", "", a.args(0, 0), func(context.Context, []string) error {
		c, err := a.cluster(o)
		if err != nil {
			return err
		}
		return c.Manifests(a.out)
	})
	m.Flags().BoolVar(&o.inside, "inside", false, "")
	o.flags(m)
	return m
}

func (a *app) kubeChartCommand() *cobra.Command {
	o := clusterOptions{inside: true}
	c := a.command("kube.chart", "chart DIR", "", a.args(1, 1), func(_ context.Context, args []string) error {
		c, err := a.cluster(o)
		if err != nil {
			return err
		}
		if err := c.Chart(args[0], version); err != nil {
			return masu.E(masu.Invalid, "kube_chart_unwritten", args[0], err.Error()).Because(err)
		}
		a.note("kube_chart_written", args[0])
		return nil
	})
	o.flags(c)
	return c
}

func (o *clusterOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.builder, "builder-image", builderImage, "")
	f.StringVar(&o.image, "image", "", "")
	f.StringVar(&o.state, "state-size", "10Gi", "")
	f.StringVar(&o.service, "service", string(corev1.ServiceTypeLoadBalancer), "")
	f.Int32Var(&o.replicas, "replicas", 1, "")
}

func (o clusterOptions) wrong(flag, value string) *masu.Error {
	return masu.E(masu.Invalid, "flag_wrong_value", flag, value, "masu kube")
}

// cluster is what the configuration and the options make of a cluster.
func (a *app) cluster(o clusterOptions) (c kube.Cluster, err error) {
	file, err := readConfig(a.configPath())
	if err != nil {
		return c, err
	}
	k := file.Kube
	namespace := cmp.Or(k.Namespace, kubeNamespace)
	c = kube.Cluster{Namespace: namespace, BuilderNamespace: cmp.Or(k.BuilderNamespace, namespace+"-build"), Restricted: !k.Sudo, BuilderImage: o.builder}
	if !o.inside {
		return c, nil
	}
	if wrong := file.insideWrong(); len(wrong) > 0 {
		return c, masu.E(masu.Invalid, "kube_inside_config", a.configPath(), strings.Join(wrong, ", "))
	}
	told, err := k.config()
	if err != nil {
		return c, err
	}
	i := &kube.Inside{Namespace: namespace + "-system", Image: o.image, Replicas: o.replicas, Service: corev1.ServiceType(o.service),
		Class: k.Storage.Class, Folders: told.Storage.Folders, PullSecrets: k.PullSecrets}
	if i.State, err = resource.ParseQuantity(o.state); err != nil || i.State.Sign() <= 0 {
		return c, o.wrong("--state-size", o.state).Because(err)
	}
	if kinds := []corev1.ServiceType{corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort}; !slices.Contains(kinds, i.Service) {
		return c, o.wrong("--service", o.service)
	}
	if o.replicas < 1 {
		return c, o.wrong("--replicas", strconv.Itoa(int(o.replicas)))
	}
	if host, port, err := net.SplitHostPort(file.SSH.Listen); err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		n, _ := strconv.ParseInt(port, 10, 32) // readConfig has looked at it
		i.SSHPort = int32(n)
	}
	if i.Image == "" {
		ref, err := serverImage()
		if err != nil {
			return c, err
		}
		i.Image = told.Registry + "/" + string(ref)
	}
	c.Inside = i
	return c, nil
}

// insideWrong names the keys of a configuration with which masu could not be a
// pod: browsers reach it by names and by TLS only, and the cluster is around it.
func (c fileConfig) insideWrong() (keys []string) {
	for _, k := range []struct {
		wrong bool
		key   string
	}{
		{!c.Kube.on(), "kubernetes.registry"},
		{c.Kube.Kubeconfig != "" || c.Kube.Context != "", "kubernetes.kubeconfig"},
		{c.HostName == "", "host_name"},
		{c.Apps == "", "apps_domain"},
		{c.TLS.CertFile != kube.CertFile, "tls.cert_file: " + kube.CertFile},
		{c.TLS.KeyFile != kube.KeyFile, "tls.key_file: " + kube.KeyFile},
	} {
		if k.wrong {
			keys = append(keys, k.key)
		}
	}
	return keys
}
