// Removepods stops and removes every pod of the container runtime whose socket
// is its only argument. Going through the runtime, rather than killing the
// processes, also gives back what the pods hold: addresses, interfaces, mounts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	criapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	criclient "k8s.io/cri-client/pkg"
)

const timeout = 20 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: removepods SOCKET")
		os.Exit(2)
	}
	if err := removePods("unix://" + os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "removepods:", err)
		os.Exit(1)
	}
}

func removePods(endpoint string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	runtime, err := connect(ctx, endpoint)
	if err != nil {
		return err
	}
	pods, err := runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	errs := make([]error, len(pods))
	var group sync.WaitGroup
	for i, pod := range pods {
		group.Go(func() { errs[i] = removePod(ctx, runtime, pod) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// connect tries again until the time is up: a runtime that was just started
// first finds out what is left of its pods.
func connect(ctx context.Context, endpoint string) (criapi.RuntimeService, error) {
	for {
		runtime, err := criclient.NewRemoteRuntimeService(ctx, endpoint, timeout, nil, false)
		if err == nil {
			return runtime, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to runtime: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func removePod(ctx context.Context, runtime criapi.RuntimeService, pod *runtimeapi.PodSandbox) error {
	if err := runtime.StopPodSandbox(ctx, pod.Id); err != nil {
		return fmt.Errorf("stop pod %s: %w", pod.Metadata.Name, err)
	}
	if err := runtime.RemovePodSandbox(ctx, pod.Id); err != nil {
		return fmt.Errorf("remove pod %s: %w", pod.Metadata.Name, err)
	}
	return nil
}
