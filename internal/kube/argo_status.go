package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

const (
	// rolloutHash is the label that tells the templates of a Rollout apart.
	rolloutHash = "rollouts-pod-template-hash"
	// rolloutsController is the field manager of Argo's controller.
	rolloutsController = "rollouts-controller"
)

// argoObject is as much of a Rollout as is looked at.
type argoObject struct {
	Spec struct {
		Replicas    *int            `json:"replicas"`
		Paused      bool            `json:"paused"`
		Template    json.RawMessage `json:"template"`
		WorkloadRef *struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"workloadRef"`
		RollbackWindow struct {
			Revisions int `json:"revisions"`
		} `json:"rollbackWindow"`
		Strategy struct {
			Canary    *argoCanary    `json:"canary"`
			BlueGreen *argoBlueGreen `json:"blueGreen"`
		} `json:"strategy"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration string `json:"observedGeneration"`
		Phase              string `json:"phase"`
		Message            string `json:"message"`
		CurrentPodHash     string `json:"currentPodHash"`
		StableRS           string `json:"stableRS"`
		CurrentStepIndex   *int   `json:"currentStepIndex"`
		Abort              bool   `json:"abort"`
		PromoteFull        bool   `json:"promoteFull"`
		PauseConditions    []struct {
			Reason string `json:"reason"`
		} `json:"pauseConditions"`
		Canary struct {
			Weights *struct {
				Canary struct {
					Weight          float64 `json:"weight"`
					PodTemplateHash string  `json:"podTemplateHash"`
				} `json:"canary"`
			} `json:"weights"`
		} `json:"canary"`
		BlueGreen struct {
			ActiveSelector string `json:"activeSelector"`
		} `json:"blueGreen"`
	} `json:"status"`
}

type argoAnalysis struct {
	Templates []struct {
		TemplateName string `json:"templateName"`
	} `json:"templates"`
}

type argoCanary struct {
	Steps          []map[string]json.RawMessage `json:"steps"`
	Analysis       *argoAnalysis                `json:"analysis"`
	TrafficRouting map[string]json.RawMessage   `json:"trafficRouting"`
}

type argoBlueGreen struct {
	AutoPromotionEnabled  *bool         `json:"autoPromotionEnabled"`
	PrePromotionAnalysis  *argoAnalysis `json:"prePromotionAnalysis"`
	PostPromotionAnalysis *argoAnalysis `json:"postPromotionAnalysis"`
}

// readRollout reads a Rollout, with the ReplicaSets that its selector finds.
func (p *Platform) readRollout(u *unstructured.Unstructured, sets []appsv1.ReplicaSet) (stages.ArgoRollout, error) {
	var o argoObject
	if err := reencode(u.Object, &o); err != nil {
		return stages.ArgoRollout{}, fmt.Errorf("read rollout %s: %w", u.GetName(), err)
	}
	w := stages.Workload{Namespace: u.GetNamespace(), Name: u.GetName()}
	now := stages.ArgoRollout{
		Workload: w, Exists: true, Version: u.GetResourceVersion(), Observed: o.Status.ObservedGeneration == strconv.FormatInt(u.GetGeneration(), 10),
		BlueGreen: o.Spec.Strategy.BlueGreen != nil, Window: o.Spec.RollbackWindow.Revisions,
		Template: o.Spec.Template, Images: map[string]string{}, Paused: o.Spec.Paused, Replicas: 1,
		Phase: o.Status.Phase, Message: o.Status.Message, Step: -1,
		Aborted: o.Status.Abort, PromoteFull: o.Status.PromoteFull, New: o.Status.CurrentPodHash, Stable: o.Status.StableRS,
		By: writerOf(u, "", `"f:template"`), StatusBy: writerOf(u, "status", `"f:status"`),
	}
	if o.Spec.Replicas != nil {
		now.Replicas = *o.Spec.Replicas
	}
	if ref := o.Spec.WorkloadRef; ref != nil {
		now.Ref = ref.Kind + " " + ref.Name
	}
	for _, c := range o.Status.PauseConditions {
		now.Pauses = append(now.Pauses, c.Reason)
	}
	if containers, ok, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers"); ok {
		for _, c := range containers {
			if m, ok := c.(map[string]any); ok {
				name, _ := m["name"].(string)
				now.Images[name], _ = m["image"].(string)
			}
		}
	}
	o.strategy(&now)
	now.NewPods, now.StablePods = p.podsOfHash(w, now.New), p.podsOfHash(w, now.Stable)
	o.weigh(&now, sets)
	return now, nil
}

// strategy reads what differs between the two.
func (o argoObject) strategy(now *stages.ArgoRollout) {
	analyses := func(a *argoAnalysis) {
		if a == nil {
			return
		}
		for _, t := range a.Templates {
			if !slices.Contains(now.Analyses, t.TemplateName) {
				now.Analyses = append(now.Analyses, t.TemplateName)
			}
		}
	}
	if b := o.Spec.Strategy.BlueGreen; b != nil {
		now.AutoPromote = b.AutoPromotionEnabled == nil || *b.AutoPromotionEnabled
		analyses(b.PrePromotionAnalysis)
		analyses(b.PostPromotionAnalysis)
	}
	c := o.Spec.Strategy.Canary
	if c == nil {
		return
	}
	analyses(c.Analysis)
	for router := range c.TrafficRouting {
		if router != "managedRoutes" && router != "maxTrafficWeight" && (now.Router == "" || router < now.Router) {
			now.Router = router
		}
	}
	for _, step := range c.Steps {
		now.Steps = append(now.Steps, argoStep(step))
		if raw, ok := step["analysis"]; ok {
			var a argoAnalysis
			if json.Unmarshal(raw, &a) == nil {
				analyses(&a)
			}
		}
	}
	if i := o.Status.CurrentStepIndex; i != nil && len(now.Steps) > 0 {
		now.Step = *i
	}
}

// argoStep reads a step, which has one key.
func argoStep(step map[string]json.RawMessage) stages.ArgoStep {
	for key, raw := range step {
		switch key {
		case "pause":
			var pause struct {
				Duration json.RawMessage `json:"duration"`
			}
			if err := json.Unmarshal(raw, &pause); err != nil {
				break // The controller says what is wrong with it.
			}
			d, ok := argoDuration(pause.Duration)
			if !ok {
				return stages.ArgoStep{Text: "pause", Pause: true}
			}
			return stages.ArgoStep{Text: "pause " + strings.Trim(string(pause.Duration), `"`), Pause: true, For: d}
		case "setWeight":
			return stages.ArgoStep{Text: "setWeight " + string(raw)}
		}
		return stages.ArgoStep{Text: key}
	}
	return stages.ArgoStep{Text: "nothing"}
}

// argoDuration reads seconds as a number or as text, or text with units; false
// where there is none.
func argoDuration(raw json.RawMessage) (time.Duration, bool) {
	s := strings.Trim(string(raw), `"`)
	if s == "" || s == "null" {
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// weigh counts the pods of the present template, and says what share of the
// traffic they get.
func (o argoObject) weigh(now *stages.ArgoRollout, sets []appsv1.ReplicaSet) {
	all := 0
	for _, s := range sets {
		all += int(s.Status.AvailableReplicas)
		if now.New != "" && s.Labels[rolloutHash] == now.New {
			now.Ready, now.Available = int(s.Status.ReadyReplicas), int(s.Status.AvailableReplicas)
		}
	}
	weights := o.Status.Canary.Weights
	switch {
	case now.New == "":
	case now.New == now.Stable:
		now.Weight = 100
	case now.BlueGreen:
		if o.Status.BlueGreen.ActiveSelector == now.New {
			now.Weight = 100
		}
	case now.Router != "":
		if weights != nil && weights.Canary.PodTemplateHash == now.New {
			now.Weight = weights.Canary.Weight
		}
	case all > 0:
		now.Weight = 100 * float64(now.Available) / float64(all)
	}
}

// Selector returns matchers of all pods of a Rollout, which are called like
// those of a Deployment.
func (a *Rollouts) Selector(w stages.Workload) string {
	return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(a.p.c.ns(w)), strconv.Quote(podPattern(w.Name)))
}

// podsOfHash returns matchers of the pods of one template of a Rollout; its
// ReplicaSets are called NAME-HASH.
func (p *Platform) podsOfHash(w stages.Workload, hash string) string {
	prefix := w.Name + "-" + hash + "-"
	if len(prefix) > maxPrefix {
		prefix = prefix[:maxPrefix]
	}
	pattern := strings.ReplaceAll(prefix, ".", `\.`) + generated + "{5}"
	return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(p.c.ns(w)), strconv.Quote(pattern))
}

// writerOf returns which field manager, other than Headgate and Argo's
// controller, last wrote a field of an object or of a subresource of it.
func writerOf(u *unstructured.Unstructured, subresource, field string) string {
	var last *metav1.ManagedFieldsEntry
	entries := u.GetManagedFields()
	for i, e := range entries {
		if e.Manager == Manager || e.Manager == rolloutsController || e.Subresource != subresource ||
			e.FieldsV1 == nil || !bytes.Contains(e.FieldsV1.GetRawBytes(), []byte(field)) {
			continue
		}
		if last == nil || e.Time != nil && (last.Time == nil || !e.Time.Before(last.Time)) {
			last = &entries[i]
		}
	}
	if last == nil {
		return ""
	}
	return last.Manager
}
