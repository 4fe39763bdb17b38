package kube

import "k8s.io/client-go/dynamic"

// Dynamic returns the client behind c, for adapters that keep objects of
// their own in the cluster, such as the journal. It shares the limits on requests with c.
func (c *Cluster) Dynamic() dynamic.Interface { return c.dyn }
