package main

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

var rollouts = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}

type argoController struct{}

func (*argoController) stop() {}
func startArgo(ctx context.Context, api dynamic.Interface, s settings) (*argoController, error) {
	return nil, nil
}
func argoRollout(u *unstructured.Unstructured) *unstructured.Unstructured        { return u }
func argoDone(u *unstructured.Unstructured) bool                                 { return true }
func (c *cluster) argo(ctx context.Context, image string) (time.Duration, error) { return 0, nil }
