package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu/internal/kube"
)

// builderImage is BuildKit's own, which needs no root.
const builderImage = "moby/buildkit:rootless"

func (a *app) kubeCommand() *cobra.Command {
	c := a.command("kube", "kube", groupServer, a.knownCommand, nil)
	var builder string
	m := a.command("kube.manifests", "manifests", "", a.args(0, 0), func(context.Context, []string) error {
		file, err := readConfig(a.configPath())
		if err != nil {
			return err
		}
		k := file.Kube
		namespace := cmp.Or(k.Namespace, kubeNamespace)
		return kube.Cluster{Namespace: namespace, BuilderNamespace: cmp.Or(k.BuilderNamespace, namespace+"-build"), Restricted: !k.Sudo, BuilderImage: builder}.Manifests(a.out)
	})
	m.Flags().StringVar(&builder, "builder-image", builderImage, "")
	c.AddCommand(m)
	return c
}
