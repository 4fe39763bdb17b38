package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const forwarding = "net/ipv4/ip_forward"

// firewallRules let pods speak to each other and to the outside whatever the
// machine's own rules are. The comment marks them as this program's.
func firewallRules() [][]string {
	comment := []string{"-m", "comment", "--comment", "headgate-test-cluster"}
	rule := func(table, chain, target string, match ...string) []string {
		return append(append(append([]string{table, chain}, match...), comment...), "-j", target)
	}
	return [][]string{
		rule("filter", "FORWARD", "ACCEPT", "-s", podCIDR),
		rule("filter", "FORWARD", "ACCEPT", "-d", podCIDR),
		rule("nat", "POSTROUTING", "MASQUERADE", "-s", podCIDR, "!", "-d", clusterCIDR),
	}
}

// makeNetwork makes the bridge between the pods. It is there before the first
// pod so that the kubelet and the DNS server can listen on its address.
func makeNetwork(ctx context.Context) error {
	for _, args := range [][]string{
		{"ip", "link", "add", bridge, "type", "bridge"},
		{"ip", "addr", "add", nodeIP + "/24", "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
	} {
		if err := command(ctx, args...); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/"+forwarding, []byte("1"), 0); err != nil {
		return fmt.Errorf("forward packets: %w", err)
	}
	// Answers of a Service's pod to another pod must pass the rules that brought
	// the question there. Not an error: where this is not to be had, pods may not
	// reach Services that lead to this same node, and all else works.
	_ = command(ctx, "modprobe", "br_netfilter")
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0)
	for _, r := range firewallRules() {
		if err := command(ctx, append([]string{"iptables", "-w", "-t", r[0], "-I"}, r[1:]...)...); err != nil {
			return err
		}
	}
	return nil
}

// removeNetwork takes away what makeNetwork and kube-proxy made.
func removeNetwork(ctx context.Context) error {
	var errs []error
	for _, r := range firewallRules() {
		// Until it is not found, for a run that was cut short may have left a second one.
		for command(ctx, append([]string{"iptables", "-w", "-t", r[0], "-D"}, r[1:]...)...) == nil {
		}
	}
	if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
		errs = append(errs, command(ctx, "ip", "link", "del", bridge))
	}
	return errors.Join(errs...)
}

// removeFirewallChain takes away the one chain that kube-proxy's own cleanup
// leaves, because a kubelet could have made it, too.
func removeFirewallChain(ctx context.Context) {
	for _, program := range []string{"iptables", "ip6tables"} {
		for _, args := range [][]string{
			{"-D", "INPUT", "-j", "KUBE-FIREWALL"}, {"-D", "OUTPUT", "-j", "KUBE-FIREWALL"},
			{"-F", "KUBE-FIREWALL"}, {"-X", "KUBE-FIREWALL"},
		} {
			_ = command(ctx, append([]string{program, "-w"}, args...)...) // Not there is as good.
		}
	}
}

// command runs a program and says what it printed if it did not succeed.
func command(ctx context.Context, argv ...string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, lastLines(out.String(), 5))
	}
	return nil
}
