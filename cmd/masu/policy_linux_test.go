package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/sched"
)

// The file that the documents show is one that masu reads, in both languages,
// and it means what the defaults are, where it shows them.
func TestDocumentedConfig(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, lang := range []string{"en", "ja"} {
		b, err := os.ReadFile("../../docs/" + lang + "/config.md")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, block.FindSubmatch(b)[1], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(file)
		if err != nil {
			t.Fatalf("%s: %v", lang, err)
		}
		p, err := c.Policy.policy(lab.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		d := lab.DefaultPolicy(masu.Host{CPUs: 8})
		d.Limits = masu.Limits{CPUs: 16, Memory: 64 * masu.GiB, Shm: 16 * masu.GiB, PIDs: 4096, Disk: 100 * masu.GiB}
		d.GPUs.PerMember, d.GPUs.PerGroup, d.GPUs.Classes = 4, map[string]int{"b4": 8}, []sched.Class{{Name: "paper", HeadStart: 24 * time.Hour, Groups: []string{"b4"}}}
		d.ImagesPerMember = 200 * masu.GiB
		d.Datasets = []masu.Mount{{Folder: "/data/imagenet", Target: "/data/imagenet", Dataset: true}}
		if got, want := p, d; !equalPolicy(got, want) {
			t.Errorf("%s: the document says %+v, the defaults are %+v", lang, got, want)
		}
	}
}

func equalPolicy(a, b lab.Policy) bool {
	da, db := a.Datasets, b.Datasets
	return len(da) == 1 && len(db) == 1 && da[0] == db[0] && a.Sudo == b.Sudo && a.OwnDockerfile == b.OwnDockerfile && a.ShareApps == b.ShareApps && a.Limits == b.Limits && a.ImagesPerMember == b.ImagesPerMember &&
		a.WorkspacesPerMember == b.WorkspacesPerMember && a.RunsPerMember == b.RunsPerMember && a.BuildsAtOnce == b.BuildsAtOnce && a.BuildsPerMember == b.BuildsPerMember &&
		a.StartsAtOnce == b.StartsAtOnce && a.BuildWithin == b.BuildWithin && a.SessionFor == b.SessionFor && a.MinPassword == b.MinPassword &&
		fmt.Sprint(a.GPUs, a.HalfLife, a.HoldMost, a.Horizon, a.ReserveMost) == fmt.Sprint(b.GPUs, b.HalfLife, b.HoldMost, b.Horizon, b.ReserveMost) && a.SpareState == b.SpareState && a.SpareEngine == b.SpareEngine
}

func TestConfigRefusals(t *testing.T) {
	for text, say := range map[string]string{
		"polcy: {}":                                    "polcy",
		"policy: {sudoo: true}":                        "sudoo",
		"listen: [1]":                                  "line 1",
		"policy: {build_within: soon}":                 "1:10: policy.build_within: soon",
		"policy:\n  memory: lots\n  min_password: 4":   "3:3: policy.min_password: 4: ≥ 8; 2:3: policy.memory: lots",
		"# x\noidc:\n  name: U":                        "2:1: oidc.issuer: missing",
		"mail: {server: x, from: a@b}":                 "1:8: mail.server:",
		"policy: {build_within: -2h}":                  "policy.build_within",
		"policy: {share_apps: everybody}":              "policy.share_apps: everybody: nobody, colleagues, lab",
		"policy: {registries: [https://x/y]}":          "1:10: policy.registries: https://x/y: registry.example.org",
		"policy: {builds_at_once: 0}":                  "policy.builds_at_once: 0: ≥ 1",
		"policy: {memory: lots}":                       "policy.memory: lots",
		"policy: {min_password: 4}":                    "policy.min_password",
		"policy:\n  gpus: {cdi: [fpga]}":               "2:10: policy.gpus.cdi: fpga: vendor.example/class",
		"policy: {datasets: {x: relative}}":            "policy.datasets.x",
		"policy: {datasets: {'../x': /data}}":          "policy.datasets.../x",
		"policy: {datasets: {x: /data/../etc}}":        "policy.datasets.x",
		"egress: {lan: maybe}":                         "line 1",
		"listen: a\nlisten: b":                         "line 2",
		"site: {proxy: [x]}":                           "line 1",
		strings.Repeat("# comment\n", mostConfig/10+1): "256 KiB",
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readConfig(file)
		if masu.CodeOf(err) != "config_wrong" || !strings.Contains(err.Error(), say) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[duration]time.Duration{"30m": 30 * time.Minute, "2h": 2 * time.Hour, "7d": 7 * 24 * time.Hour} {
		if got, err := s.value(); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
}
