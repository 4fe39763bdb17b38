package kube

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
)

// plannedNew is [planned] for an object that is made. A version of a ConfigMap
// or Secret is shown against the one that the live workload refers to, so that
// a reader sees what changes in it.
func (p *Platform) plannedNew(ctx context.Context, k mapped, after *unstructured.Unstructured) pipeline.PlannedWrite {
	pw := planned(nil, after)
	if !isVersion(after) {
		return pw
	}
	if before := p.versionBefore(ctx, k, after); before != nil {
		for _, a := range []string{RunAnnotation, PipelineAnnotation} { // Who made it says nothing of its content.
			annotate(before, a, "")
			annotate(after, a, "")
		}
		pw.Diff = Diff(before, after)
		pw.Summary += ", in place of " + before.GetName()
	}
	return pw
}

// versionBefore returns what the live workload refers to in place of a version
// that is about to be made, nil where it cannot be told.
func (p *Platform) versionBefore(ctx context.Context, k mapped, u *unstructured.Unstructured) *unstructured.Unstructured {
	live, err := p.c.Get(ctx, deployments(), u.GetNamespace(), u.GetLabels()[workloadLabel])
	if err != nil {
		return nil
	}
	name := u.GetLabels()[versionedLabel]
	for ref := range refsOf(podOf(live)) {
		if ref.Kind != u.GetKind() || ref.Name != name && !strings.HasPrefix(ref.Name, name+"-") {
			continue
		}
		before, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), ref.Name)
		if err == nil && (ref.Name == name || before.GetLabels()[versionedLabel] == name) {
			return before
		}
	}
	return nil
}
