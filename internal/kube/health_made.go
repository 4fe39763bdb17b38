package kube

import (
	"fmt"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// refused reads from ReplicaSet and Deployment that pods cannot be made; no
// pod says so.
func (o observed) refused() (Problem, bool) {
	message := ""
	if set := o.newSet(); set != nil {
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				message = c.Message
			}
		}
	} else if c := condition(o.deployment, appsv1.DeploymentProgressing); c.Status == corev1.ConditionFalse && c.Reason == "ReplicaSetCreateError" &&
		o.deployment.Status.ObservedGeneration >= o.deployment.Generation {
		message = c.Message
	}
	if message == "" {
		return Problem{}, false
	}
	p := Problem{
		Code: Refused, Grace: refusedGrace, Cause: "pods cannot be made: " + sentence(message),
		Action: fmt.Sprintf("mend what the message names; kubectl -n %s get events --field-selector reason=FailedCreate", o.namespace()),
	}
	o.refuser(&p, message)
	return p, true
}

// The words by which those that may refuse a pod are known.
var (
	quotaName    = pattern(`(?:exceeded|failed) quota: ([^,:\s]+)`)
	webhookName  = pattern(`(?:admission webhook|failed calling webhook) "([^"]+)"`)
	standardName = pattern(`violates PodSecurity "([^":]+)`)
	accountName  = pattern(`serviceaccount "([^"]+)" not found`)
	policyName   = pattern(`ValidatingAdmissionPolicy '([^']+)'`)
	rangeWords   = pattern(`(?:minimum|maximum) (?:cpu|memory|ephemeral-storage|storage)[^"]* usage per (?:Container|Pod)|max limit to request ratio per`)
)

// refuser sets code and action by who refuses the pods.
func (o observed) refuser(p *Problem, message string) {
	name := func(re *regexp.Regexp) (string, bool) {
		m := re.FindStringSubmatch(message)
		if m == nil {
			return "", false
		}
		return m[len(m)-1], true
	}
	ns := o.namespace()
	if s, ok := name(quotaName()); ok {
		p.Code = Quota
		p.Action = fmt.Sprintf("raise the ResourceQuota, or lower the requests or the size of the canary: kubectl -n %s describe resourcequota %s", ns, s)
		if strings.Contains(message, "must specify") {
			p.Action = fmt.Sprintf("give all containers the requests and limits that the quota counts: kubectl -n %s describe resourcequota %s", ns, s)
		}
		return
	}
	if s, ok := name(standardName()); ok {
		p.Code, p.Grace = PodSecurity, 0
		p.Action = fmt.Sprintf("set the securityContext that the message names, or lower the namespace's standard %q: kubectl get namespace %s --show-labels", s, ns)
		return
	}
	if s, ok := name(webhookName()); ok {
		p.Code = Webhook
		p.Action = fmt.Sprintf("mend what %s asks for: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", s)
		if strings.Contains(message, "failed calling webhook") {
			p.Grace = webhookGrace // It is its pods that are in trouble, not ours.
			p.Action = fmt.Sprintf("see whether the pods behind %s run: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", s)
		}
		return
	}
	if s, ok := name(policyName()); ok {
		p.Action = "mend what the policy asks for: kubectl get validatingadmissionpolicy " + s
		return
	}
	if s, ok := name(accountName()); ok {
		p.Action = fmt.Sprintf("make the ServiceAccount: kubectl -n %s create serviceaccount %s", ns, s)
		return
	}
	if rangeWords().MatchString(message) {
		p.Grace = 0
		p.Action = fmt.Sprintf("keep requests and limits within the LimitRange: kubectl -n %s describe limitrange", ns)
	}
}

// unrouted reports pods that are all ready, while a Service does not have
// them: its endpoints are slow to follow, or never will.
func (o observed) unrouted(fresh []corev1.Pod) []Problem {
	if len(fresh) < wantedReplicas(o.deployment) {
		return nil
	}
	for _, p := range fresh {
		if !conditionTrue(p, corev1.PodReady) {
			return nil
		}
	}
	var out []Problem
	for _, svc := range o.services {
		line := o.endpoints(svc, len(fresh))
		if line == "" {
			continue
		}
		out = append(out, Problem{
			Code: NoRoute, Grace: Patient, Quiet: eventsAfter,
			Cause: "the pods are ready, but would get no requests: " + line,
			Action: fmt.Sprintf("see what the Service has, and whether the controller of endpoints keeps up: kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s",
				o.namespace(), svc),
		})
	}
	return out
}
