package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Versions returns which versions of an API group the cluster serves, its
// preferred one first; none where it does not know the group.
func (c *Cluster) Versions(ctx context.Context, group string) ([]string, error) {
	if c.raw == nil {
		return nil, fmt.Errorf("find versions of %s: no way to ask the cluster", group)
	}
	var found metav1.APIGroup
	err := c.read(ctx, func(ctx context.Context) error {
		b, err := c.raw.Get().AbsPath("/apis/" + group).DoRaw(ctx)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &found)
	})
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find versions of %s: %w", group, err)
	}
	var out []string
	for _, v := range found.Versions {
		out = append(out, v.Version)
	}
	return out, nil
}

// IsForbidden reports whether err says that the account may not do something.
func IsForbidden(err error) bool { return apierrors.IsForbidden(err) }
