package kube

import (
	"cmp"
	"fmt"
	"path"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Inside is masu itself as a pod of the cluster. It acts for members on their
// folders, so it is root in its pod, with the few capabilities that this takes,
// and has a namespace of its own: that of the boxes can stay restricted.
type Inside struct {
	Namespace   string
	Image       string // of Publish
	Replicas    int32  // one serves, the others wait for its lease
	SSHPort     int32  // of the ssh gateway; 0 is none
	Service     corev1.ServiceType
	State       resource.Quantity // of the claim that holds masu's state
	Class       string            // StorageClass of it; "" means the cluster's default
	Folders     []Shared          // mounted where they are called Prefix; their claims are in Namespace too
	PullSecrets []string

	access string // of the claim; "" by the number of replicas
	chart  bool   // this is the template of a chart
}

// Names of what the administrator makes by hand, because it is secret or the lab's own.
const (
	secretConfig   = "masu-config"   // config.yaml
	secretTLS      = "masu-tls"      // of type kubernetes.io/tls
	secretRegistry = "masu-registry" // of type kubernetes.io/dockerconfigjson; need not be
	mapAccounts    = "masu-accounts" // passwd and group
	stateClaim     = "masu-state"
	leaseName      = "masu"
)

// Where masu's pod has its files. CertFile and KeyFile are what the
// configuration must say.
const (
	CertFile = configDir + "/tls/tls.crt"
	KeyFile  = configDir + "/tls/tls.key"

	configDir = "/etc/masu"
	pagesPort = 443 // the pages know themselves by the port that browsers see
)

func (i *Inside) objects() []any {
	at := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: i.Namespace, Labels: managed()}
	}
	claim := corev1.PersistentVolumeClaim{TypeMeta: kind("v1", "PersistentVolumeClaim"), ObjectMeta: at(stateClaim),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.PersistentVolumeAccessMode(cmp.Or(i.access, string(accessFor(i.Replicas))))},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: i.State}},
		}}
	if i.Class != "" {
		claim.Spec.StorageClassName = &i.Class
	}
	ports := []corev1.ServicePort{{Name: "https", Port: pagesPort, TargetPort: intstr.FromString("https")}}
	if i.SSHPort != 0 {
		ports = append(ports, corev1.ServicePort{Name: i.sshName(), Port: i.SSHPort, TargetPort: intstr.FromString("ssh")})
	}
	return []any{claim, i.deployment(at(account)),
		corev1.Service{TypeMeta: kind("v1", "Service"), ObjectMeta: at(account), Spec: corev1.ServiceSpec{Type: i.Service, Selector: selfLabels(), Ports: ports}}}
}

// accessFor is what the claim of the state must allow: those that wait may be on other nodes.
func accessFor(replicas int32) corev1.PersistentVolumeAccessMode {
	if replicas > 1 {
		return corev1.ReadWriteMany
	}
	return corev1.ReadWriteOnce
}

func selfLabels() map[string]string { return map[string]string{"app": account} }

// deployment is masu. A new one starts when the old one has gone, because both
// want the same state; boxes are not part of it and go on meanwhile.
func (i *Inside) deployment(at metav1.ObjectMeta) appsv1.Deployment {
	no, grace := false, int64(60)
	pod := corev1.PodSpec{
		ServiceAccountName: account, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers:      []corev1.Container{i.container()},
		Volumes: []corev1.Volume{
			{Name: "state", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: stateClaim}}},
			{Name: "config", VolumeSource: corev1.VolumeSource{Projected: i.config()}},
			{Name: "run", VolumeSource: scratch()},
			{Name: "tmp", VolumeSource: scratch()},
		},
	}
	for n, f := range i.Folders {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: i.folderName(n),
			VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: f.Claim}}})
	}
	for _, s := range i.PullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	return appsv1.Deployment{TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: at,
		Spec: appsv1.DeploymentSpec{
			Replicas: &i.Replicas,
			Selector: &metav1.LabelSelector{MatchLabels: selfLabels()},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selfLabels()}, Spec: pod},
		}}
}

func (i *Inside) folderName(n int) string {
	if i.chart {
		return `folder-{{ $i }}` + mark("item range $i, $f := .Values.masu.folders")
	}
	return fmt.Sprintf("folder-%d", n)
}

func (i *Inside) sshName() string {
	if i.chart {
		return "ssh" + mark("item if .Values.masu.sshPort")
	}
	return "ssh"
}

func (i *Inside) container() corev1.Container {
	root, no, yes := int64(0), false, true
	c := corev1.Container{
		Name: account, Image: i.Image,
		Command: []string{"/masu", "serve", "--listen", fmt.Sprintf("0.0.0.0:%d", pagesPort), "--lease", i.Namespace + "/" + leaseName},
		Env:     []corev1.EnvVar{{Name: "DOCKER_CONFIG", Value: path.Join(configDir, "registry")}},
		Ports:   []corev1.ContainerPort{{Name: "https", ContainerPort: pagesPort}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")}},
		LivenessProbe:  probe("/healthz", 10, 6),
		ReadinessProbe: probe("/readyz", 5, 2),
		SecurityContext: &corev1.SecurityContext{RunAsUser: &root, RunAsGroup: &root, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"},
				Add: []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID"}}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "state", MountPath: "/var/lib"}, // masu makes its folder there itself, with the mode that it wants
			{Name: "config", MountPath: configDir, ReadOnly: true},
			{Name: "run", MountPath: "/run"},
			{Name: "tmp", MountPath: "/tmp"},
		},
	}
	if i.SSHPort != 0 {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: i.sshName(), ContainerPort: i.SSHPort})
	}
	for n, f := range i.Folders {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: i.folderName(n), MountPath: f.Prefix, SubPath: f.Path})
	}
	return c
}

func probe(at string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: period, TimeoutSeconds: 5, FailureThreshold: failures,
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: at, Port: intstr.FromString("https"), Scheme: corev1.URISchemeHTTPS}}}
}

// config gathers in one folder what the administrator has made by hand.
func (i *Inside) config() *corev1.ProjectedVolumeSource {
	mode, yes := int32(0o400), true
	secret := func(name string, optional *bool, items ...corev1.KeyToPath) corev1.VolumeProjection {
		return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: items, Optional: optional}}
	}
	return &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		secret(secretConfig, nil),
		secret(secretTLS, nil, corev1.KeyToPath{Key: corev1.TLSCertKey, Path: "tls/tls.crt"}, corev1.KeyToPath{Key: corev1.TLSPrivateKeyKey, Path: "tls/tls.key"}),
		secret(secretRegistry, &yes, corev1.KeyToPath{Key: corev1.DockerConfigJsonKey, Path: "registry/config.json"}),
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: mapAccounts}}},
	}}
}

// budget keeps whoever empties a node from ending what members have running:
// a box has no second copy that could stand in for it. For masu itself there is
// none, since boxes do not need it while it moves to another node.
func (c Cluster) budget() policyv1.PodDisruptionBudget {
	all, always := intstr.FromInt32(1<<30), policyv1.AlwaysAllow // a share would need a controller, which boxes have not
	return policyv1.PodDisruptionBudget{
		TypeMeta:   kind("policy/v1", "PodDisruptionBudget"),
		ObjectMeta: metav1.ObjectMeta{Name: "masu-boxes", Namespace: c.Namespace, Labels: managed()},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &all, UnhealthyPodEvictionPolicy: &always,
			Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: labelWorkspace, Operator: metav1.LabelSelectorOpExists}}}},
	}
}
