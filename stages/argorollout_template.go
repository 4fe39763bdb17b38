package stages

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// withImage returns a pod template in which the container that the release is
// for has its image.
func withImage(template json.RawMessage, r Release) (json.RawMessage, error) {
	pod, err := decodeTemplate(template)
	if err != nil {
		return nil, err
	}
	spec, _ := pod["spec"].(map[string]any)
	list, _ := spec["containers"].([]any)
	all := make([]Container, len(list))
	for i, c := range list {
		container, ok := c.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read template: container %d is no object", i+1)
		}
		all[i].Name, _ = container["name"].(string)
		all[i].Image, _ = container["image"].(string)
	}
	i, err := r.ContainerOf(all)
	if err != nil {
		return nil, err
	}
	list[i].(map[string]any)["image"] = r.Image
	return json.Marshal(pod)
}

func decodeTemplate(template json.RawMessage) (map[string]any, error) {
	var pod map[string]any
	d := json.NewDecoder(bytes.NewReader(template))
	d.UseNumber() // A number is written as it was read.
	if err := d.Decode(&pod); err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	return pod, nil
}

// SameTemplate reports whether two templates say the same.
func SameTemplate(a, b json.RawMessage) bool {
	x, err := decodeTemplate(a)
	if err != nil {
		return false
	}
	y, err := decodeTemplate(b)
	if err != nil {
		return false
	}
	p, err := json.Marshal(x)
	if err != nil {
		return false
	}
	q, err := json.Marshal(y)
	return err == nil && bytes.Equal(p, q)
}
