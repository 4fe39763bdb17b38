package route

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// NotAcceptedError reports a route that a Gateway's controller does not carry
// out.
type NotAcceptedError struct {
	// Route is the router's name, Parent the Gateway's.
	Route, Parent string
	// Reason says what is missing.
	Reason string
}

// Error says which Gateway and why.
func (e *NotAcceptedError) Error() string {
	return fmt.Sprintf("%s is not accepted by %s: %s", e.Route, e.Parent, e.Reason)
}

// Hint says where to look.
func (e *NotAcceptedError) Hint() string {
	return "read the route's status.parents and the log of the Gateway's controller"
}

// refused returns why not every parent carries out the route at its present
// generation; nil when all do. What is not said is a refusal.
func (gatewayDialect) refused(r *RuleRouter, u *unstructured.Unstructured) error {
	spec, status, err := parents(u)
	if err != nil {
		return err
	}
	if len(spec) == 0 {
		return &NotAcceptedError{Route: r.Name(), Parent: "any Gateway", Reason: "it has no parentRefs"}
	}
	for _, p := range spec {
		answered := false
		for _, s := range status {
			if parentKey(s.ParentRef, r.set.Namespace) != parentKey(p, r.set.Namespace) {
				continue
			}
			answered = true
			for _, t := range []string{string(gatewayv1.RouteConditionAccepted), string(gatewayv1.RouteConditionResolvedRefs)} {
				if reason := lacking(s.Conditions, t, u.GetGeneration()); reason != "" {
					return &NotAcceptedError{Route: r.Name(), Parent: parentName(p, r.set.Namespace), Reason: reason}
				}
			}
		}
		if !answered {
			return &NotAcceptedError{Route: r.Name(), Parent: parentName(p, r.set.Namespace), Reason: "no controller has said anything about it"}
		}
	}
	return nil
}

// lacking says why a condition does not hold at a generation, "" if it does.
func lacking(cs []metav1.Condition, t string, generation int64) string {
	for _, c := range cs {
		switch {
		case c.Type != t:
			continue
		case c.ObservedGeneration != 0 && c.ObservedGeneration < generation:
			return fmt.Sprintf("%s is about an earlier generation", t)
		case c.Status != metav1.ConditionTrue:
			return fmt.Sprintf("%s is %s (%s): %s", t, c.Status, c.Reason, c.Message)
		}
		return ""
	}
	return t + " is not said"
}

// said reports whether all conditions say which generation they are about.
func (gatewayDialect) said(u *unstructured.Unstructured) bool {
	_, status, err := parents(u)
	if err != nil {
		return false
	}
	for _, s := range status {
		for _, c := range s.Conditions {
			if c.ObservedGeneration == 0 {
				return false
			}
		}
	}
	return true
}

// parents reads what a route is attached to and what is said about that.
func parents(u *unstructured.Unstructured) ([]gatewayv1.ParentReference, []gatewayv1.RouteParentStatus, error) {
	var r struct {
		Spec   gatewayv1.CommonRouteSpec `json:"spec"`
		Status gatewayv1.RouteStatus     `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"spec": u.Object["spec"], "status": u.Object["status"]}, &r); err != nil {
		return nil, nil, fmt.Errorf("read parents of route %s: %w", u.GetName(), err)
	}
	return r.Spec.ParentRefs, r.Status.Parents, nil
}

// parentName is what people call a parent.
func parentName(p gatewayv1.ParentReference, ns string) string {
	kind := "Gateway"
	if p.Kind != nil {
		kind = string(*p.Kind)
	}
	if p.Namespace != nil {
		ns = string(*p.Namespace)
	}
	return fmt.Sprintf("%s %s/%s", kind, ns, p.Name)
}

// parentKey tells parents apart, defaults filled in.
func parentKey(p gatewayv1.ParentReference, ns string) string {
	group, section, port := gatewayv1.GroupName, "", gatewayv1.PortNumber(0)
	if p.Group != nil {
		group = string(*p.Group)
	}
	if p.SectionName != nil {
		section = string(*p.SectionName)
	}
	if p.Port != nil {
		port = *p.Port
	}
	return fmt.Sprintf("%s %s %s %d", group, parentName(p, ns), section, port)
}
