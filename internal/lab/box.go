package lab

import (
	"maps"
	"path"
	"strings"

	"github.com/masu-lab/masu"
)

// box says what the runtime is to run for a workspace.
func (l *Lab) box(w masu.Workspace, owner masu.User) masu.Box {
	b := l.emptyBox(w.ID, w.Name, owner, w.Image, w.Project)
	b.Mounts = append([]masu.Mount{{Volume: homeVolume(w.ID), Target: b.Agent.User.Home}}, b.Mounts...)
	b.Mounts = append(b.Mounts, l.editorMounts(w.Project)...)
	b.GPUs = w.GPUs
	if b.Agent.Apps = w.Project.Apps; len(b.Agent.Apps) == 0 {
		b.Agent.Apps = masu.NamedApps("jupyter")
	}
	return b
}

// emptyBox is a box with the member's folder, and without home, GPUs and apps.
func (l *Lab) emptyBox(id masu.WorkspaceID, name string, owner masu.User, image string, p masu.Project) masu.Box {
	inside := owner
	inside.Home = "/home/" + string(owner.Name)
	if owner.UID == 0 {
		inside.Home = "/root"
	}
	work := path.Join(inside.Home, "work")
	env := maps.Clone(p.Variables)
	for k, v := range env {
		if v == "~" || strings.HasPrefix(v, "~/") {
			env[k] = inside.Home + v[1:]
		}
	}
	b := masu.Box{
		ID: id, Name: name, Owner: owner, Image: image, Limits: bounded(p.Limits, l.ceiling(owner.Name)),
		Agent: masu.AgentSpec{User: inside, Work: work, Sudo: l.policy().Sudo, Env: env, Lang: owner.Lang,
			Timezone: p.Environment.Timezone, Locale: p.Environment.Locale},
	}
	if p.Dir != "" {
		b.Mounts = append(b.Mounts, masu.Mount{Folder: path.Join(p.Dir, p.Work), Target: work})
	}
	b.Mounts = append(b.Mounts, l.policy().Datasets...)
	return b
}

// bounded gives what is wished within the policy's ceilings.
func bounded(wish, ceiling masu.Limits) masu.Limits {
	return masu.Limits{
		CPUs:   within(wish.CPUs, ceiling.CPUs),
		Memory: within(wish.Memory, ceiling.Memory),
		Shm:    within(wish.Shm, ceiling.Shm),
		PIDs:   within(wish.PIDs, ceiling.PIDs),
		Disk:   within(wish.Disk, ceiling.Disk),
	}
}

func within[T int | float64 | masu.Bytes](wish, ceiling T) T {
	if ceiling > 0 && (wish == 0 || wish > ceiling) {
		return ceiling
	}
	return wish
}
