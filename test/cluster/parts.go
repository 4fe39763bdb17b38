package main

import (
	"context"
	"time"
)

// A part is one piece of the cluster: a process that keeps running, or, with
// run in place of argv, a thing done once.
type part struct {
	name  string
	needs []string // the parts that must be ready before this one starts
	argv  []string
	env   []string
	run   func(context.Context) error
	ready func(context.Context) error // nil means ready as soon as it was run
}

// parts lists the whole cluster. The order is that of status; what waits for
// what is in needs.
func (c *cluster) parts(programs map[string]string) []part {
	return append(append(c.controlPlane(programs), c.node(programs)...), c.services(programs)...)
}

func (c *cluster) controlPlane(programs map[string]string) []part {
	pki := func(name string) string { return c.path("pki", name) }
	return []part{
		{
			name: "etcd",
			argv: []string{
				"etcd", "--data-dir", c.path("etcd"), "--logger=zap",
				"--listen-client-urls=http://" + etcdAddress, "--advertise-client-urls=http://" + etcdAddress,
				"--listen-peer-urls=http://" + etcdPeerAddress, "--initial-advertise-peer-urls=http://" + etcdPeerAddress,
				"--initial-cluster=default=http://" + etcdPeerAddress,
			},
			ready: answers("http://" + etcdAddress + "/health"),
		},
		{
			name:  "apiserver",
			needs: []string{"etcd", "network"},
			argv: []string{
				programs["kube-apiserver"], "--etcd-servers=http://" + etcdAddress,
				"--bind-address=0.0.0.0", "--secure-port=6443",
				// Where pods find it behind the Service kubernetes; a loopback address is refused here.
				"--advertise-address=" + nodeIP, "--service-cluster-ip-range=" + serviceCIDR,
				"--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
				"--client-ca-file=" + pki("ca.crt"), "--token-auth-file=" + pki("tokens.csv"),
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
				"--service-account-issuer=https://kubernetes.default.svc." + domain,
				"--service-account-key-file=" + pki("service-accounts.key"),
				"--service-account-signing-key-file=" + pki("service-accounts.key"),
				"--kubelet-client-certificate=" + pki("apiserver-client.crt"), "--kubelet-client-key=" + pki("apiserver-client.key"),
				"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			},
			ready: c.answersTLS(apiAddress, "/readyz"),
		},
		{
			name:  "controller-manager",
			needs: []string{"apiserver"},
			argv: []string{
				programs["kube-controller-manager"], "--kubeconfig=" + pki("controller-manager.kubeconfig"),
				"--bind-address=127.0.0.1", "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
				"--leader-elect=false", "--use-service-account-credentials=true",
				"--service-account-private-key-file=" + pki("service-accounts.key"), "--root-ca-file=" + pki("ca.crt"),
				"--flex-volume-plugin-dir=" + c.path("kubelet", "volume-plugins"), "--allocate-node-cidrs=true", "--cluster-cidr=" + clusterCIDR,
				"--kube-api-qps=500", "--kube-api-burst=1000",
			},
			ready: c.answersTLS(controllersAddress, "/healthz"),
		},
		{
			name:  "scheduler",
			needs: []string{"apiserver"},
			argv: []string{
				programs["kube-scheduler"], "--kubeconfig=" + pki("scheduler.kubeconfig"),
				"--bind-address=127.0.0.1", "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
				"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
			},
			ready: c.answersTLS(schedulerAddress, "/healthz"),
		},
		{
			name:  "service-account",
			needs: []string{"controller-manager"},
			run:   func(context.Context) error { return nil },
			ready: c.answersTLS(apiAddress, "/api/v1/namespaces/default/serviceaccounts/default"),
		},
	}
}

func (c *cluster) node(programs map[string]string) []part {
	return []part{
		{name: "network", run: makeNetwork},
		c.containerd(),
		{
			name:  "pause-image",
			needs: []string{"containerd"},
			run:   func(ctx context.Context) error { return c.importPause(ctx, programs["pause"]) },
		},
		{
			name:  "kubelet",
			needs: []string{"apiserver", "pause-image"},
			argv: []string{
				programs["kubelet"], "--kubeconfig=" + c.path("pki", "kubelet.kubeconfig"), "--config=" + c.path("kubelet.yaml"),
				"--root-dir=" + c.path("kubelet"), "--cert-dir=" + c.path("pki", "kubelet"),
				"--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
				// For the names of pods in the metrics of what they use, and how fresh these are.
				"--containerd=" + c.socket(), "--housekeeping-interval=2s",
			},
			ready: answers("http://" + kubeletHealthAddress + "/healthz"),
		},
		{
			name:  "node-ready",
			needs: []string{"kubelet"},
			run:   func(context.Context) error { return nil },
			ready: c.condition("/api/v1/nodes/"+nodeName, "Ready"),
		},
		{
			name:  "proxy",
			needs: []string{"apiserver", "network"},
			argv: []string{
				programs["kube-proxy"], "--kubeconfig=" + c.path("pki", "proxy.kubeconfig"), "--hostname-override=" + nodeName,
				"--proxy-mode=iptables", "--cluster-cidr=" + clusterCIDR, "--nodeport-addresses=127.0.0.0/8," + podCIDR,
				"--healthz-bind-address=" + proxyHealthAddress, "--metrics-bind-address=" + proxyMetricsAddress,
				"--iptables-min-sync-period=100ms", "--kube-api-qps=100", "--kube-api-burst=200",
				// Leave the machine's own limits on connections as they are.
				"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
			},
			ready: answers("http://" + proxyHealthAddress + "/livez"),
		},
	}
}

// containerd stands alone because down may have to start it again, to take
// away what its pods hold.
func (c *cluster) containerd() part {
	return part{
		name:  "containerd",
		needs: []string{"network"},
		argv:  []string{"containerd", "--config", c.path("containerd.toml")},
		ready: c.containerdReady,
	}
}

func (c *cluster) services(programs map[string]string) []part {
	return []part{
		{
			name:  "coredns",
			needs: []string{"apiserver", "network"},
			argv:  []string{programs["coredns"], "-conf", c.path("Corefile")},
			ready: dnsReady,
		},
		{
			name:  "registry",
			argv:  []string{programs["crane"], "registry", "serve", "--address", "127.0.0.1:5000", "--disk", c.path("registry")},
			ready: answers("http://" + registryAddress + "/v2/"),
		},
		{
			name: "redis",
			// For pods, too, which reach no loopback address of the node.
			needs: []string{"network"},
			argv:  []string{"redis-server", c.path("redis.conf")},
			ready: c.redisReady,
		},
		{
			name:  "discovery",
			needs: []string{"apiserver"},
			argv: []string{
				programs["discovery"], "-server=https://" + apiAddress, "-ca=" + c.path("pki", "ca.crt"),
				"-token=" + c.path("pki", "token"), "-output=" + c.targets(),
			},
			ready: c.discovered,
		},
		{
			name: "prometheus",
			argv: []string{
				"prometheus", "--config.file=" + c.path("prometheus.yml"), "--storage.tsdb.path=" + c.path("prometheus"),
				"--storage.tsdb.retention.time=1d", "--web.listen-address=" + prometheusAddress,
				// Not in its help: how soon a pod found is also scraped; 5s otherwise.
				"--scrape.discovery-reload-interval=100ms",
			},
			ready: answers("http://" + prometheusAddress + "/-/ready"),
		},
		{name: "gateway-api", needs: []string{"apiserver"}, run: c.applyGatewayAPI},
		{
			name:  "traefik",
			needs: []string{"gateway-api"},
			argv: []string{
				programs["traefik"], "--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO",
				"--entrypoints.web.address=" + gatewayAddress, "--entrypoints.metrics.address=" + traefikMetricsAddress,
				"--metrics.prometheus=true", "--metrics.prometheus.entrypoint=metrics",
				"--metrics.prometheus.addserviceslabels=true", "--metrics.prometheus.addrouterslabels=true",
				"--providers.kubernetesgateway=true", "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
				"--providers.providersthrottleduration=100ms",
			},
			env:   []string{"KUBECONFIG=" + c.kubeconfig()},
			ready: answersAnything("http://" + gatewayAddress + "/"),
		},
		{
			name:  "gateway",
			needs: []string{"traefik"},
			run:   func(context.Context) error { return nil },
			ready: c.gatewayReady,
		},
	}
}

// stopGrace is how long a process may take to end by itself.
const stopGrace = 3 * time.Second
