package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/pipeline"
)

// inventory lists the objects that were made for a Deployment. It is written
// on the Deployment before the first of them is made, so that none is left
// behind whenever the run dies.
type inventory struct {
	Objects []object `json:"objects"`
	// Making is true until all of them are there.
	Making bool `json:"making,omitempty"`
}

// object names one.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func (o object) gvk() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
}

func (i inventory) complete() bool { return !i.Making }

// readInventory returns what stands on a Deployment; what cannot be read
// counts as not complete, so that all is made again.
func readInventory(u *unstructured.Unstructured) inventory {
	var i inventory
	text, ok := u.GetAnnotations()[inventoryAnnotation]
	if !ok {
		return i
	}
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return inventory{Making: true}
	}
	return i
}

func (i inventory) writeTo(u *unstructured.Unstructured) error {
	b, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	annotate(u, inventoryAnnotation, string(b))
	return nil
}

// forPods keeps what pods may need in order to start; all else of a release
// is made when it becomes stable.
func forPods(us []*unstructured.Unstructured) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, u := range us {
		switch u.GetKind() {
		case "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim":
			out = append(out, u)
		}
	}
	return out
}

// kept reports whether objects of a kind stay when what they were made for is
// removed, since others may have come to live in them.
func kept(kind string) bool { return kind == "Namespace" || kind == "CustomResourceDefinition" }

// missing returns those objects that the cluster does not have, with their
// namespace filled in.
func (p *Platform) missing(ctx context.Context, us []*unstructured.Unstructured, ns string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, u := range us {
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return nil, err
		}
		u = place(u, k, ns)
		now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
		switch {
		case IsNotFound(err):
			out = append(out, u)
		case err != nil:
			return nil, err
		case isVersion(u):
			if err := checkVersion(k, now, u); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// place returns a copy of u in the namespace where it belongs.
func place(u *unstructured.Unstructured, k mapped, ns string) *unstructured.Unstructured {
	u = u.DeepCopy()
	switch {
	case !k.namespaced:
		u.SetNamespace("")
	case u.GetNamespace() == "":
		u.SetNamespace(ns)
	}
	return u
}

// make makes a Deployment and, before it gets pods, the objects that are
// missing. The Deployment is there first, without pods, because it carries
// the inventory.
func (p *Platform) make(ctx context.Context, d *unstructured.Unstructured, missing []*unstructured.Unstructured, run pipeline.Info) error {
	now, err := p.getOurs(ctx, mapped{gvr: deployments()}, d.GetNamespace(), d.GetName())
	if err != nil {
		return err
	}
	var inv inventory
	if now != nil {
		inv = readInventory(now)
	}
	for _, o := range readInventory(d).Objects {
		if !slices.Contains(inv.Objects, o) {
			inv.Objects = append(inv.Objects, o)
		}
	}
	if len(missing) > 0 {
		inv.Making = true
		for _, u := range missing {
			o := object{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
			if !kept(o.Kind) && !slices.Contains(inv.Objects, o) {
				inv.Objects = append(inv.Objects, o)
			}
		}
		empty := d.DeepCopy()
		set(empty.Object, int64(0), "spec", "replicas")
		if err := inv.writeTo(empty); err != nil {
			return err
		}
		if _, err := p.write(ctx, empty, Write{}); err != nil {
			return err
		}
		if err := p.createAll(ctx, missing, run); err != nil {
			return err
		}
	}
	if inv.Making || len(inv.Objects) > 0 {
		inv.Making = false
		d = d.DeepCopy()
		if err := inv.writeTo(d); err != nil {
			return err
		}
	}
	_, err = p.write(ctx, d, Write{})
	return err
}

func (p *Platform) createAll(ctx context.Context, us []*unstructured.Unstructured, run pipeline.Info) error {
	for _, u := range us {
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return err
		}
		u = u.DeepCopy()
		sign(u, run)
		if _, err := p.c.Create(ctx, k.gvr, u, Write{}); err != nil && !IsConflict(err) {
			return err
		}
	}
	return nil
}

// removeAll removes what an inventory lists, last made first, and nothing that
// somebody else has made in the meantime.
func (p *Platform) removeAll(ctx context.Context, i inventory) error {
	var errs []error
	for _, o := range slices.Backward(i.Objects) {
		k, err := p.c.mapping(ctx, o.gvk())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		u, err := p.c.Get(ctx, k.gvr, o.Namespace, o.Name)
		switch {
		case IsNotFound(err):
		case err != nil:
			errs = append(errs, err)
		case ours(u):
			errs = append(errs, p.c.Delete(ctx, k.gvr, u, false))
		}
	}
	return errors.Join(errs...)
}
