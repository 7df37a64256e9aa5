package recipe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// composeSides writes a project's side boxes as services of a compose file.
func composeSides(sides []masu.SideBox) string {
	var b strings.Builder
	for _, s := range sides {
		fmt.Fprintf(&b, "  %s:\n", s.Name)
		if s.Build != nil {
			fmt.Fprintf(&b, "    build:\n      context: %s\n      dockerfile: %s\n", scalar(s.Build.Context), scalar(strings.TrimPrefix(s.Build.Dockerfile, s.Build.Context+"/")))
		} else {
			fmt.Fprintf(&b, "    image: %s\n", scalar(string(s.Image)))
		}
		list(&b, "entrypoint", s.Entrypoint)
		list(&b, "command", s.Command)
		if s.Dir != "" {
			fmt.Fprintf(&b, "    working_dir: %s\n", scalar(s.Dir))
		}
		if len(s.Variables) > 0 {
			b.WriteString("    environment:\n")
			for _, k := range slices.Sorted(maps.Keys(s.Variables)) {
				fmt.Fprintf(&b, "      %s: %s\n", k, scalar(s.Variables[k]))
			}
		}
		if len(s.Volumes) > 0 {
			b.WriteString("    volumes:\n")
		}
		for _, v := range s.Volumes {
			from, mode := v.Name, ""
			if v.Folder != "" {
				from = "./" + v.Folder
			}
			if v.ReadOnly {
				mode = ":ro"
			}
			fmt.Fprintf(&b, "      - %s\n", scalar(from+":"+v.Target+mode))
		}
		if len(s.Health) > 0 {
			fmt.Fprintf(&b, "    healthcheck:\n      test: %s\n", words(append([]string{"CMD"}, s.Health...)))
		}
		if s.Limits.CPUs > 0 {
			fmt.Fprintf(&b, "    cpus: %g\n", s.Limits.CPUs)
		}
		if s.Limits.Memory > 0 {
			fmt.Fprintf(&b, "    mem_limit: %d\n", int64(s.Limits.Memory))
		}
	}
	return b.String()
}

// waits makes the workspace's service wait for the others, as masu does.
func waits(sides []masu.SideBox) string {
	if len(sides) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("    depends_on:\n")
	for _, s := range sides {
		when := "service_started"
		if len(s.Health) > 0 {
			when = "service_healthy"
		}
		fmt.Fprintf(&b, "      %s:\n        condition: %s\n", s.Name, when)
	}
	return b.String()
}

// sideVolumes names the volumes that side boxes have.
func sideVolumes(sides []masu.SideBox) string {
	names := map[string]bool{}
	for _, s := range sides {
		for _, v := range s.Volumes {
			if v.Name != "" {
				names[v.Name] = true
			}
		}
	}
	delete(names, "home") // which the workspace has already
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&b, "  %s:\n", name)
	}
	return b.String()
}

func list(b *strings.Builder, key string, values []string) {
	if len(values) > 0 {
		fmt.Fprintf(b, "    %s: %s\n", key, words(values))
	}
}

func words(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = scalar(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// scalar quotes a text for YAML; compose reads $$ as a dollar.
func scalar(s string) string {
	q, err := json.Marshal(strings.ReplaceAll(s, "$", "$$"))
	if err != nil {
		panic(err) // a string: cannot happen
	}
	return string(q)
}
