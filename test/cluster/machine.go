package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// machine is what the cluster's programs change outside the state folder, as
// it was before, for down to put back.
type machine struct {
	Settings map[string]string `json:"settings"` // of the kernel, by their path below /proc/sys
	Absent   []string          `json:"absent"`   // files and folders that were not there
}

// kernelSettings are those that are set here, by the kubelet or by kube-proxy.
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

// fixedPaths are what the kubelet, containerd and the CNI plugins make
// wherever else they are told to work, inner ones first.
func fixedPaths() []string {
	return []string{
		"/var/lib/kubelet/device-plugins/kubelet.sock", "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet/plugins_registry", "/var/lib/kubelet",
		"/var/lib/cni/results", "/var/lib/cni",
		"/run/containerd/runc/k8s.io", "/run/containerd/runc", "/run/containerd/s", "/run/containerd",
		"/run/netns", containerLogs, "/var/log/pods",
	}
}

// containerLogs has links into the state folder, one for each container's log.
const containerLogs = "/var/log/containers"

func (c *cluster) saveMachine() error {
	before := machine{Settings: map[string]string{}}
	for _, name := range kernelSettings() {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			before.Settings[name] = strings.TrimSpace(string(value))
		}
	}
	for _, path := range fixedPaths() {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			before.Absent = append(before.Absent, path)
		}
	}
	content, err := json.MarshalIndent(before, "", "  ")
	if err != nil {
		return fmt.Errorf("save machine: %w", err)
	}
	if err := os.WriteFile(c.path("machine.json"), content, 0o600); err != nil {
		return fmt.Errorf("save machine: %w", err)
	}
	return nil
}

func (c *cluster) restoreMachine() error {
	content, err := os.ReadFile(c.path("machine.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var before machine
	if err == nil {
		err = json.Unmarshal(content, &before)
	}
	if err != nil {
		return fmt.Errorf("restore machine: %w", err)
	}
	errs := []error{c.removeLogLinks()}
	for name, value := range before.Settings {
		path := filepath.Join("/proc/sys", name)
		now, err := os.ReadFile(path)
		if err != nil || value == strings.TrimSpace(string(now)) {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			errs = append(errs, fmt.Errorf("restore kernel setting: %w", err))
		}
	}
	for _, path := range before.Absent {
		_ = os.Remove(path) // A folder only if empty: what else is in it now is not ours.
	}
	return errors.Join(errs...)
}

// removeLogLinks removes the links that lead into the state folder.
func (c *cluster) removeLogLinks() error {
	links, err := filepath.Glob(containerLogs + "/*.log")
	if err != nil {
		return fmt.Errorf("list log links: %w", err)
	}
	var errs []error
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, c.state+"/") {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(errs...)
}
