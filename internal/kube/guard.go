package kube

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// guardGrace is how long a track may be without any ready pod before it is
// given up. Its share of the users gets errors all the while, but one late
// probe must not end a release.
const guardGrace = time.Second

// Guard watches a track that has traffic; see [stages.Guard]. What cannot be
// seen, since the cluster does not answer, says nothing about the pods.
func (p *Platform) Guard(ctx context.Context, t stages.Track) error {
	ns, name := p.c.ns(t.Workload), trackName(t)
	u, err := p.guarded(ctx, t)
	if u == nil || err != nil {
		return err
	}
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return fmt.Errorf("read selector of deployment %s: %w", name, err)
	}
	mirrors := p.c.Mirrors(ctx)
	defer mirrors.Close()
	ps := mirrors.Add(pods(), ns, metav1.ListOptions{LabelSelector: selector.String()})
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var lost time.Time
	for {
		switch serves, known := serving(ps); {
		case !known:
		case serves:
			lost = time.Time{}
		case lost.IsZero():
			lost = time.Now()
		case time.Since(lost) >= guardGrace:
			return p.lostWhy(ctx, t, fmt.Sprintf("none of its pods has been ready for %s, while it has traffic", guardGrace))
		}
		select {
		case <-mirrors.Changed():
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// guarded reads the Deployment of a track, for as long as it takes the cluster
// to answer; nil when ctx has ended.
func (p *Platform) guarded(ctx context.Context, t stages.Track) (*unstructured.Unstructured, error) {
	for {
		u, err := p.c.Get(ctx, deployments(), p.c.ns(t.Workload), trackName(t))
		switch {
		case ctx.Err() != nil:
			return nil, nil //nolint:nilnil // which is how a guard ends
		case IsNotFound(err):
			return nil, lostPods(t, "none of its pods can serve, since its Deployment is gone")
		case err == nil:
			return u, nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
		}
	}
}

// lostWhy is [lostPods] with the reason, as far as the cluster tells it at
// once: users get errors meanwhile.
func (p *Platform) lostWhy(ctx context.Context, t stages.Track, cause string) error {
	ctx, cancel := context.WithTimeout(ctx, lookAgain)
	defer cancel()
	lost := lostPods(t, cause)
	o, err := p.look(ctx, t)
	if err != nil {
		return lost
	}
	problems := o.diagnose(p.set.Restarts)
	if len(problems) == 0 {
		return lost
	}
	lost.Cause += "; " + problems[0].Cause
	lost.Action = problems[0].Action
	if last := p.lastWords(ctx, p.c.ns(t.Workload), problems[0]); last != "" {
		lost.Cause += "; its last line: " + last
	}
	return lost
}

func lostPods(t stages.Track, cause string) *stages.NotReadyError {
	return &stages.NotReadyError{
		Track: t, Code: Lost, Cause: cause,
		Action: "see the evidence: its pods crashed, failed their readiness probe, or were removed",
	}
}

// serving reports whether any pod is ready, and whether that can be told.
func serving(m *Mirror) (serves, known bool) {
	_, synced, err := m.Objects()
	if !synced || err != nil {
		return false, false
	}
	ps, err := objectsOf[corev1.Pod](m)
	if err != nil {
		return false, false
	}
	for _, p := range ps {
		if p.DeletionTimestamp == nil && conditionTrue(p, corev1.PodReady) {
			return true, true
		}
	}
	return false, true
}
