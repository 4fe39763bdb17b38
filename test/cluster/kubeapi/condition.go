package kubeapi

import (
	"context"
	"fmt"
)

// A Condition is the part of a condition that all kinds of objects share.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Is returns nil if the object at the path has a condition of that type which
// is True, and else an error that says what it is.
func (c *Client) Is(ctx context.Context, path, conditionType string) error {
	var object struct {
		Status struct {
			Conditions []Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := c.Get(ctx, path, &object); err != nil {
		return err
	}
	if err := CheckCondition(object.Status.Conditions, conditionType); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CheckCondition returns nil if the condition of that type is True.
func CheckCondition(conditions []Condition, conditionType string) error {
	for _, c := range conditions {
		if c.Type != conditionType {
			continue
		}
		if c.Status == "True" {
			return nil
		}
		return fmt.Errorf("condition %s is %s: %s %s", conditionType, c.Status, c.Reason, c.Message)
	}
	return fmt.Errorf("no condition %s", conditionType)
}
