package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// forwarding is set for pods to be reached; the rest kubelet and kube-proxy
// set. All are put back by down.
const forwarding = "net/ipv4/ip_forward"

func kernelSettings() []string {
	return []string{
		forwarding,
		"net/ipv4/conf/all/route_localnet",
		"net/bridge/bridge-nf-call-iptables",
		"vm/overcommit_memory", "vm/panic_on_oom",
		"kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
}

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
func (c *cluster) makeNetwork(ctx context.Context) error {
	if err := c.saveKernelSettings(); err != nil {
		return err
	}
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
func (c *cluster) removeNetwork(ctx context.Context) error {
	var errs []error
	for _, r := range firewallRules() {
		// Until it is not found, for a run that was cut short may have left a second one.
		for command(ctx, append([]string{"iptables", "-w", "-t", r[0], "-D"}, r[1:]...)...) == nil {
		}
	}
	if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
		errs = append(errs, command(ctx, "ip", "link", "del", bridge))
	}
	return errors.Join(append(errs, c.restoreKernelSettings())...)
}

// saveKernelSettings writes down what the settings are before the cluster.
func (c *cluster) saveKernelSettings() error {
	values := map[string]string{}
	for _, name := range kernelSettings() {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			values[name] = strings.TrimSpace(string(value))
		}
	}
	content, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return fmt.Errorf("save kernel settings: %w", err)
	}
	if err := os.WriteFile(c.path("kernel.json"), content, 0o600); err != nil {
		return fmt.Errorf("save kernel settings: %w", err)
	}
	return nil
}

func (c *cluster) restoreKernelSettings() error {
	content, err := os.ReadFile(c.path("kernel.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var values map[string]string
	if err == nil {
		err = json.Unmarshal(content, &values)
	}
	if err != nil {
		return fmt.Errorf("restore kernel settings: %w", err)
	}
	var errs []error
	for _, name := range kernelSettings() {
		value, saved := values[name]
		now, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if !saved || err != nil || value == strings.TrimSpace(string(now)) {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			errs = append(errs, fmt.Errorf("restore kernel setting: %w", err))
		}
	}
	return errors.Join(errs...)
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
