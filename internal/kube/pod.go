package kube

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/masu-lab/masu"
)

// Labels and annotations of a box. They are the driver's only memory; what a
// label cannot hold is an annotation.
const (
	labelManaged   = "app.kubernetes.io/managed-by"
	labelLab       = "masu.lab"
	labelWorkspace = "masu.workspace"
	labelImage     = "masu.image" // digest of the image's ID, which is too long for a label
	noteOwner      = "masu.owner"
	noteName       = "masu.name"
	noteRun        = "masu.run"
	noteImage      = "masu.image" // the image's ID
	noteGPUs       = "masu.gpus"  // the places that were lent, with commas
	noteSpec       = "masu.spec"  // digest of the Box
)

const (
	boxContainer = "box"
	maxShm       = 16 * masu.GiB
)

// podName is deterministic, so that it is the lock.
func podName(id masu.WorkspaceID) string { return "masu-" + string(id) }

// digest is that of a Box; two equal boxes have the same.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:24]
}

// pod translates a box to the cluster's words; Invalid "folder_not_shared" for a folder that the nodes do not reach.
func (r *Runtime) pod(b masu.Box) (*corev1.Pod, error) {
	wish := digest(b)
	b.Limits.Memory = cmp.Or(b.Limits.Memory, r.cfg.Memory)
	m, err := r.mounts(b)
	if err != nil {
		return nil, err
	}
	no, never := false, corev1.RestartPolicyNever
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   podName(b.ID),
			Labels: map[string]string{labelManaged: "masu", labelLab: r.cfg.Lab, labelWorkspace: string(b.ID), labelImage: digest(b.Image)},
			Annotations: map[string]string{
				noteOwner: string(b.Owner.Name), noteName: b.Name, noteRun: strconv.FormatBool(b.Run),
				noteImage: b.Image, noteSpec: wish,
			},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                never,
			AutomountServiceAccountToken: &no,
			EnableServiceLinks:           &no,
			Hostname:                     hostname(b),
			SecurityContext:              r.podSecurity(b.Owner),
			InitContainers:               r.before(b),
			Containers: []corev1.Container{{
				Name:            boxContainer,
				Image:           b.Image,
				Command:         []string{masu.AgentPath, "agent"},
				Args:            []string{},
				WorkingDir:      "/",
				Env:             r.variables(b),
				Resources:       resources(b),
				VolumeMounts:    m.mounts,
				SecurityContext: r.security(b.Agent.Sudo),
			}},
			Volumes: m.volumes,
		},
	}
	if node, _, n := place(b.GPUs); n > 0 {
		p.Annotations[noteGPUs] = join(b.GPUs)
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		maps.Copy(p.Labels, r.cfg.Kueue.of(b))
	}
	for _, s := range r.cfg.PullSecrets {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	return p, nil
}

// before are the steps that bring the agent into the pod and, where nobody may
// be root, the account files that root would have edited.
func (r *Runtime) before(b masu.Box) []corev1.Container {
	masuVolume := corev1.VolumeMount{Name: "masu", MountPath: "/masu-copy"}
	steps := []corev1.Container{{
		Name: "agent", Image: r.cfg.Agent, Command: []string{"/masu", "agent", "copy", "/masu-copy"},
		VolumeMounts: []corev1.VolumeMount{masuVolume}, SecurityContext: r.security(false), Resources: little(),
	}}
	for i, m := range b.Mounts {
		if image, err := r.at(masu.ImageRef(m.Program)); err == nil && m.Program != "" { // nothing else is in that image
			steps = append(steps, corev1.Container{
				Name: programVolume(i), Image: image.String(), Command: []string{"/masu-copy/masu", "agent", "bring", m.Target, "/masu-program"},
				VolumeMounts:    []corev1.VolumeMount{masuVolume, {Name: programVolume(i), MountPath: "/masu-program"}},
				SecurityContext: r.security(false), Resources: little(),
			})
		}
	}
	if !r.cfg.Restricted {
		return steps
	}
	return append(steps, corev1.Container{
		Name: "prepare", Image: b.Image, Command: []string{masu.AgentPath, "agent", "prepare", "/masu-member"}, Args: []string{},
		Env: []corev1.EnvVar{spec(b)}, WorkingDir: "/", Resources: little(), SecurityContext: r.security(false),
		VolumeMounts: []corev1.VolumeMount{{Name: "masu", MountPath: path.Dir(masu.AgentPath), ReadOnly: true}, {Name: "member", MountPath: "/masu-member"}},
	})
}

// little is what a step before the box may take, and is far more than it does.
func little() corev1.ResourceRequirements {
	l := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: quantity(128 * masu.MiB)}
	return corev1.ResourceRequirements{Limits: l, Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: quantity(32 * masu.MiB)}}
}

func (r *Runtime) podSecurity(u masu.User) *corev1.PodSecurityContext {
	s := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if !r.cfg.Restricted {
		return s
	}
	uid, gid, yes := int64(u.UID), int64(u.GID), true
	s.RunAsUser, s.RunAsGroup, s.FSGroup, s.RunAsNonRoot = &uid, &gid, &gid, &yes
	for _, g := range u.Groups {
		s.SupplementalGroups = append(s.SupplementalGroups, int64(g.GID))
	}
	return s
}

// security takes from a container what nobody in it needs. With sudo its root
// can do what a package needs to be installed; without, only the agent is
// root; restricted, nobody is.
func (r *Runtime) security(sudo bool) *corev1.SecurityContext {
	root, no := int64(0), false
	switch {
	case r.cfg.Restricted:
		return &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	case sudo:
		return &corev1.SecurityContext{RunAsUser: &root, RunAsGroup: &root,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SYS_CHROOT"}}}
	}
	return &corev1.SecurityContext{RunAsUser: &root, RunAsGroup: &root, AllowPrivilegeEscalation: &no,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"},
			Add: []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}}}
}

// hasSudo tells whether security has left the pod its sudo.
func hasSudo(p *corev1.Pod) bool {
	i := slices.IndexFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == boxContainer })
	if i < 0 || p.Spec.Containers[i].SecurityContext == nil {
		return false
	}
	may := p.Spec.Containers[i].SecurityContext.AllowPrivilegeEscalation
	return may == nil || *may
}

// resources ask for what is promised. Memory is asked for whole: a notebook
// that grew into memory which others were promised would be ended.
func resources(b masu.Box) corev1.ResourceRequirements {
	need, most := corev1.ResourceList{}, corev1.ResourceList{}
	if m := b.Limits.Memory; m > 0 {
		need[corev1.ResourceMemory], most[corev1.ResourceMemory] = quantity(m), quantity(m)
	}
	need[corev1.ResourceCPU] = resource.MustParse("100m")
	if c := b.Limits.CPUs; c > 0 {
		most[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(c*1000), resource.DecimalSI)
	}
	if d := b.Limits.Disk; d > 0 {
		most[corev1.ResourceEphemeralStorage] = quantity(d)
	}
	if _, kind, n := place(b.GPUs); n > 0 {
		most[kind] = *resource.NewQuantity(int64(n), resource.DecimalSI)
	}
	return corev1.ResourceRequirements{Requests: need, Limits: most}
}

func shm(l masu.Limits) masu.Bytes {
	if l.Shm > 0 || l.Memory == 0 {
		return cmp.Or(l.Shm, maxShm)
	}
	return min(l.Memory/4, maxShm)
}

// mounting is what a pod has of the world.
type mounting struct {
	volumes []corev1.Volume
	mounts  []corev1.VolumeMount
}

func (m *mounting) add(name string, v corev1.VolumeSource, at corev1.VolumeMount) {
	if !slices.ContainsFunc(m.volumes, func(have corev1.Volume) bool { return have.Name == name }) {
		m.volumes = append(m.volumes, corev1.Volume{Name: name, VolumeSource: v})
	}
	at.Name = name
	m.mounts = append(m.mounts, at)
}

func scratch() corev1.VolumeSource {
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
}

func claimed(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

func (r *Runtime) mounts(b masu.Box) (mounting, error) {
	var m mounting
	size := quantity(shm(b.Limits))
	m.add("masu", scratch(), corev1.VolumeMount{MountPath: path.Dir(masu.AgentPath), ReadOnly: true})
	m.add("shm", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size}},
		corev1.VolumeMount{MountPath: "/dev/shm"})
	if r.cfg.Restricted { // what root would make there
		for _, made := range []struct {
			target, in string
			readOnly   bool
		}{
			{"/etc/passwd", "etc/passwd", true},
			{"/etc/group", "etc/group", true},
			{"/etc/profile.d/masu.sh", "etc/profile.d/masu.sh", true},
			{"/run/masu", "run/masu", false},
			{fmt.Sprintf("/run/user/%d", b.Owner.UID), "run/user", false},
		} {
			m.add("member", scratch(), corev1.VolumeMount{MountPath: made.target, SubPath: made.in, ReadOnly: made.readOnly})
		}
		if !slices.ContainsFunc(b.Mounts, func(o masu.Mount) bool { return o.Target == b.Agent.User.Home }) {
			m.add("home", scratch(), corev1.VolumeMount{MountPath: b.Agent.User.Home})
		}
	}
	for i, want := range b.Mounts {
		if err := r.mount(&m, i, want); err != nil {
			return m, err
		}
	}
	return m, nil
}

func programVolume(i int) string { return "program-" + strconv.Itoa(i) }

// mount brings the i-th volume, program or shared folder in; Invalid "folder_not_shared".
func (r *Runtime) mount(m *mounting, i int, want masu.Mount) error {
	at := corev1.VolumeMount{MountPath: want.Target, ReadOnly: want.ReadOnly || want.Dataset}
	if want.Volume != "" {
		m.add("volume-"+strconv.Itoa(i), claimed(want.Volume), at)
		return nil
	}
	if want.Program != "" {
		at.ReadOnly = true
		m.add(programVolume(i), scratch(), at)
		_, err := r.at(masu.ImageRef(want.Program))
		return err
	}
	s, ok := r.shared(want.Folder)
	if !ok {
		return masu.E(masu.Invalid, "folder_not_shared", want.Folder)
	}
	at.SubPath = strings.TrimPrefix(path.Join(s.Path, strings.TrimPrefix(want.Folder, s.Prefix)), "/")
	m.add("shared-"+s.Claim, claimed(s.Claim), at)
	return nil
}

// shared finds the tree that holds a folder.
func (r *Runtime) shared(folder string) (best Shared, ok bool) {
	for _, s := range r.cfg.Storage.Folders {
		if (folder == s.Prefix || strings.HasPrefix(folder, strings.TrimSuffix(s.Prefix, "/")+"/")) && len(s.Prefix) >= len(best.Prefix) {
			best, ok = s, true
		}
	}
	return best, ok
}

// variables are the container's own: with no GPUs asked for, none are to be seen, whatever the image says.
func (r *Runtime) variables(b masu.Box) []corev1.EnvVar {
	env := []corev1.EnvVar{spec(b)}
	if len(b.GPUs) == 0 {
		env = append(env, corev1.EnvVar{Name: "NVIDIA_VISIBLE_DEVICES", Value: "void"})
	}
	return env
}

// spec is what the agent is told.
func spec(b masu.Box) corev1.EnvVar {
	s := b.Agent
	s.Env = map[string]string{}
	maps.Copy(s.Env, b.Variables)
	maps.Copy(s.Env, b.Agent.Env)
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	return corev1.EnvVar{Name: "MASU_SPEC", Value: strings.ReplaceAll(string(text), "$(", "$$(")} // the cluster would read a variable's name there
}

// hostname is what the prompt in the box shows.
func hostname(b masu.Box) string {
	if masu.ValidWorkspaceName(b.Name) && len(b.Name) <= 63 {
		return b.Name
	}
	return string(b.ID)
}

// private are the networks that are the site's or the cluster's own, and the
// address where clouds keep their secrets.
var private = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"}

// fencePolicy lets boxes reach the world and the names of it, but nothing
// inside; nobody reaches them but through the API server.
func fencePolicy(lab string) *networkingv1.NetworkPolicy {
	udp, tcp, dns := corev1.ProtocolUDP, corev1.ProtocolTCP, intstr.FromInt32(53)
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "masu-boxes-" + lab, Labels: map[string]string{labelManaged: "masu", labelLab: lab}},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{labelLab: lab},
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: labelWorkspace, Operator: metav1.LabelSelectorOpExists}}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{
					{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: private}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fc00::/7", "fe80::/10"}}},
				}},
				{Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}},
					To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}}}}},
			},
		},
	}
}
