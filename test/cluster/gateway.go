package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	gatewayGroup     = "gateway.networking.k8s.io"
	gatewayClassPath = "/apis/" + gatewayGroup + "/v1/gatewayclasses/traefik"
	gatewayPath      = "/apis/" + gatewayGroup + "/v1/namespaces/default/gateways/headgate"
	crdPath          = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
)

// applyGatewayAPI brings the Gateway API's resource definitions into the
// cluster, and then the one Gateway.
func (c *cluster) applyGatewayAPI(ctx context.Context) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	files, err := c.gatewayCRDs(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read resource definition: %w", err)
		}
		name := crdName(filepath.Base(file))
		if err := client.Apply(ctx, crdPath+name, content); err != nil {
			return err
		}
		names = append(names, name)
	}
	for _, name := range names {
		established := part{name: "gateway-api", needs: []string{"apiserver"}, ready: c.condition(crdPath+name, "Established")}
		if err := c.wait(ctx, established, nil); err != nil {
			return err
		}
	}
	for _, object := range []struct{ template, path string }{
		{"gatewayclass.yaml", gatewayClassPath}, {"gateway.yaml", gatewayPath},
	} {
		content, err := render(object.template, c.settings())
		if err != nil {
			return err
		}
		if err := client.Apply(ctx, object.path, content); err != nil {
			return err
		}
	}
	return nil
}

// crdName gets a resource definition's name from its file's: GROUP_PLURAL.yaml
// holds PLURAL.GROUP.
func crdName(file string) string {
	group, plural, _ := strings.Cut(strings.TrimSuffix(file, ".yaml"), "_")
	return plural + "." + group
}
