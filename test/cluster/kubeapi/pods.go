package kubeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// A Pod is the part of a pod that finding its metrics takes.
type Pod struct {
	Metadata struct {
		Name            string            `json:"name"`
		Namespace       string            `json:"namespace"`
		UID             string            `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		NodeName string `json:"nodeName"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

// WatchPods lists all pods and then follows what becomes of them, and calls
// changed with all that there are, by their UID, after the list and after
// every change. It returns when the server ends the watch, as it does now and
// then, or on an error; the caller begins anew.
func (c *Client) WatchPods(ctx context.Context, changed func(map[string]Pod) error) error {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []Pod `json:"items"`
	}
	if err := c.Get(ctx, "/api/v1/pods", &list); err != nil {
		return err
	}
	pods := make(map[string]Pod, len(list.Items))
	for _, pod := range list.Items {
		pods[pod.Metadata.UID] = pod
	}
	if err := changed(pods); err != nil {
		return err
	}
	query := url.Values{"watch": {"1"}, "resourceVersion": {list.Metadata.ResourceVersion}}
	resp, err := c.send(ctx, http.MethodGet, "/api/v1/pods?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for events := json.NewDecoder(resp.Body); ; {
		var event struct {
			Type   string `json:"type"`
			Object Pod    `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return fmt.Errorf("watch pods: %w", err)
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
			pods[event.Object.Metadata.UID] = event.Object
		case "DELETED":
			delete(pods, event.Object.Metadata.UID)
		default: // ERROR, when what was listed is too old to go on from.
			return fmt.Errorf("watch pods: event %s", event.Type)
		}
		if err := changed(pods); err != nil {
			return err
		}
	}
}
