package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fence is what boxes may not reach from their bridge: the host's own
// services, addresses where clouds hand out credentials, and, where the house
// rules say so, the networks around the lab; and it keeps the host's own
// accounts from connecting to what listens on a bridge. Boxes have IPv4 only
// (the engine makes their bridges so), so these rules are all there is.

const (
	fenceTime  = 20 * time.Second
	lookupTime = 2 * time.Second // for the names of the site's servers
)

// metadata are addresses at which clouds answer anybody with secrets.
func metadata() []string { return []string{"169.254.0.0/16", "100.100.100.200/32"} }

// private are the addresses of local networks: RFC 1918 and RFC 6598.
func private() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}
}

// Fence puts the rules of a lab's bridge in force, or finds that they are.
// Other rules stay as they are. Without root it does nothing.
func (h *Host) Fence(ctx context.Context, bridge string) error {
	return h.fence(ctx, bridge, fenceJumps(bridge), h.fenceRules)
}

// FenceInner is Fence for a bridge from which nothing goes on: the engine sees to that.
func (h *Host) FenceInner(ctx context.Context, bridge string) error {
	return h.fence(ctx, bridge, innerJumps(bridge), innerRules)
}

func (h *Host) fence(ctx context.Context, bridge string, jumps [][]string, write func(context.Context, string) string) error {
	if !h.cfg.Root {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTime)
	defer cancel()
	h.fenceMu.Lock()
	defer h.fenceMu.Unlock()
	rules := write(ctx, bridge)
	if h.fenced[bridge] == rules && inForce(ctx, bridge, jumps) {
		return nil
	}
	h.unfenceGone(ctx)
	if err := iptables(ctx, "iptables-restore", rules, "-w", "--noflush"); err != nil {
		return err
	}
	for _, j := range jumps {
		if iptables(ctx, "iptables", "", append([]string{"-w", "-C"}, j...)...) == nil {
			continue
		}
		if err := iptables(ctx, "iptables", "", append([]string{"-w", "-I"}, j...)...); err != nil {
			return err
		}
	}
	h.fenced[bridge] = rules
	return nil
}

// Unfence takes the rules of a bridge away; it succeeds when there are none.
func (h *Host) Unfence(ctx context.Context, bridge string) error {
	if !h.cfg.Root {
		return nil
	}
	h.fenceMu.Lock()
	defer h.fenceMu.Unlock()
	return h.unfence(ctx, bridge)
}

// unfenceGone takes away the rules of bridges that are there no more.
func (h *Host) unfenceGone(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "iptables", "-w", "-S").Output()
	if err != nil {
		return // what follows says why
	}
	for line := range strings.Lines(string(out)) {
		bridge, ours := strings.CutPrefix(strings.TrimSpace(line), "-N "+inChain(""))
		if _, err := os.Stat(filepath.Join("/sys/class/net", bridge)); ours && errors.Is(err, fs.ErrNotExist) {
			if err := h.unfence(ctx, bridge); err != nil {
				h.cfg.Log.Warn("rules of a bridge that is gone", "bridge", bridge, "error", err)
			}
		}
	}
}

func (h *Host) unfence(ctx context.Context, bridge string) error {
	delete(h.fenced, bridge)
	for _, j := range fenceJumps(bridge) {
		for iptables(ctx, "iptables", "", append([]string{"-w", "-D"}, j...)...) == nil {
		}
		chain := j[len(j)-1]
		if iptables(ctx, "iptables", "", "-w", "-F", chain) != nil {
			continue // there is none
		}
		if err := iptables(ctx, "iptables", "", "-w", "-X", chain); err != nil {
			return err
		}
	}
	return nil
}

// fenceJumps are the ways into a bridge's chains: what is for the host, what
// the host sends by itself, and what goes on.
func fenceJumps(bridge string) [][]string {
	return append(innerJumps(bridge), []string{"DOCKER-USER", "-i", bridge, "-j", onChain(bridge)})
}

func innerJumps(bridge string) [][]string {
	return [][]string{{"INPUT", "-i", bridge, "-j", inChain(bridge)}, {"OUTPUT", "-o", bridge, "-j", toChain(bridge)}}
}

func inChain(bridge string) string { return "MASU-IN-" + bridge }
func toChain(bridge string) string { return "MASU-TO-" + bridge }
func onChain(bridge string) string { return "MASU-ON-" + bridge }

// inForce tells whether the rules are still asked: an engine that starts, or
// somebody who loads rules of their own, may have left them out.
func inForce(ctx context.Context, bridge string, jumps [][]string) bool {
	out, err := exec.CommandContext(ctx, "iptables", "-w", "-S").Output()
	if err != nil {
		return false
	}
	rules := "\n" + string(out)
	for _, chain := range []string{inChain(bridge), toChain(bridge)} {
		jumps = append(jumps, []string{chain, "-j", "REJECT", "--reject-with", "icmp-admin-prohibited"})
	}
	for _, j := range jumps {
		if !strings.Contains(rules, "\n-A "+strings.Join(j, " ")+"\n") {
			return false
		}
	}
	return true
}

// ruleset is chains for iptables-restore, which puts them in force at once.
type ruleset struct{ strings.Builder }

func (b *ruleset) line(format string, a ...any) { fmt.Fprintf(b, format+"\n", a...) }

func (b *ruleset) refuse(chain, to string) {
	b.line("-A %s%s -p tcp -j REJECT --reject-with tcp-reset", chain, to)
	b.line("-A %s%s -j REJECT --reject-with icmp-admin-prohibited", chain, to)
}

// chains begins the rules; answers to what was allowed always pass.
func (b *ruleset) chains(names ...string) {
	b.line("*filter")
	for _, chain := range names {
		b.line(":%s - [0:0]", chain)
	}
	for _, chain := range names {
		b.line("-A %s -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", chain)
	}
}

// innerRules are those of a bridge whose containers have nothing to do with the host.
func innerRules(_ context.Context, bridge string) string {
	var b ruleset
	b.chains(inChain(bridge), toChain(bridge))
	b.refuse(inChain(bridge), "")
	b.refuse(toChain(bridge), "")
	b.line("COMMIT")
	return b.String()
}

// fenceRules are those of a lab's bridge.
func (h *Host) fenceRules(ctx context.Context, bridge string) string {
	in, to, on := inChain(bridge), toChain(bridge), onChain(bridge)
	var b ruleset
	b.chains(in, to, on)
	for _, chain := range []string{in, on} {
		for _, at := range nameservers(h.etc, "/run/systemd/resolve") { // the engine asks them from the box's own network
			b.line("-A %s -d %s -p udp --dport 53 -j RETURN", chain, at)
			b.line("-A %s -d %s -p tcp --dport 53 -j RETURN", chain, at)
		}
		for _, at := range h.siteServers(ctx) {
			host, port, _ := net.SplitHostPort(at)
			b.line("-A %s -d %s -p tcp --dport %s -j RETURN", chain, host, port)
		}
	}
	b.refuse(in, "")
	b.refuse(to, "")
	closed := metadata()
	if h.cfg.NoLAN {
		closed = append(closed, private()...)
	}
	for _, net := range closed {
		b.refuse(on, " -d "+net)
	}
	b.line("COMMIT")
	return b.String()
}

// nameservers lists the IPv4 resolvers that the folders' resolv.conf name,
// without those on the host's own loopback, which boxes cannot reach anyway.
func nameservers(folders ...string) []string {
	var all []string
	for _, dir := range folders {
		f, err := os.Open(filepath.Join(dir, "resolv.conf"))
		if err != nil {
			continue // one of them is enough
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			words := strings.Fields(s.Text())
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			if ip := net.ParseIP(words[1]).To4(); ip != nil && !ip.IsLoopback() && !slices.Contains(all, ip.String()) {
				all = append(all, ip.String())
			}
		}
		f.Close()
	}
	return all
}

// siteServers lists the addresses of the site's own mirrors and proxies.
func (h *Host) siteServers(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var all []string
	addresses := []string{h.cfg.Site.AptMirror, h.cfg.Site.PipIndex, h.cfg.Site.TorchIndex}
	for _, name := range []string{"http_proxy", "https_proxy"} {
		addresses = append(addresses, h.cfg.Site.Proxy[name])
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" {
			continue
		}
		port := u.Port()
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		ips, err := net.DefaultResolver.LookupIP(ctx, "ip4", u.Hostname())
		if err != nil || port == "" {
			continue // it cannot be reached either way
		}
		for _, ip := range ips {
			if at := net.JoinHostPort(ip.String(), port); !slices.Contains(all, at) {
				all = append(all, at)
			}
		}
	}
	slices.Sort(all)
	return all
}

func iptables(ctx context.Context, program, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("host: %s: %w", program, err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
