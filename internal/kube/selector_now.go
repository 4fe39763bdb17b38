package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headgate-dev/headgate/stages"
)

const (
	// knownAfter is how long the Deployment controller may take to make a
	// ReplicaSet of a new template, and askRevision how often it is asked.
	knownAfter  = 30 * time.Second
	askRevision = 100 * time.Millisecond
)

var errNoRevision = errors.New("the Deployment controller has made no ReplicaSet of the present template within " + knownAfter.String())

// SelectorNow returns matchers of the pods of a track's present template; see
// [stages.Revisioner]. They carry the name of its ReplicaSet.
func (p *Platform) SelectorNow(ctx context.Context, t stages.Track) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, knownAfter, errNoRevision)
	defer cancel()
	for {
		set, err := p.presentSet(ctx, t)
		if err != nil {
			return "", fmt.Errorf("find the present pods of %s: %w", t, err)
		}
		if set != "" {
			return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(p.c.ns(t.Workload)), strconv.Quote(podsOfSet(set))), nil
		}
		if err := pause(ctx, askRevision); err != nil {
			return "", fmt.Errorf("find the present pods of %s: %w", t, err)
		}
	}
}

// presentSet is the name of the ReplicaSet of a track's present template, ""
// while the Deployment controller has not made it.
func (p *Platform) presentSet(ctx context.Context, t stages.Track) (string, error) {
	ns := p.c.ns(t.Workload)
	u, err := p.c.Get(ctx, deployments(), ns, trackName(t))
	if err != nil {
		return "", err
	}
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return "", fmt.Errorf("read selector of deployment %s: %w", d.Name, err)
	}
	o := observed{deployment: d}
	if o.sets, err = listAs[appsv1.ReplicaSet](ctx, p.c, replicaSets(), ns, metav1.ListOptions{LabelSelector: selector.String()}); err != nil {
		return "", err
	}
	if set := o.newSet(); set != nil {
		return set.Name, nil
	}
	return "", nil
}

// podsOfSet is a regular expression for the names of a ReplicaSet's pods.
func podsOfSet(name string) string {
	prefix := name + "-"
	return regexp.QuoteMeta(prefix[:min(len(prefix), maxPrefix)]) + generated + "{5}"
}
