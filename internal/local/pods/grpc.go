package pods

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// serving is the status of grpc.health.v1 that is well.
const serving = 1

// askGRPC asks the health service of grpc.health.v1. That is one request with
// a string and an answer with a number; a whole gRPC library would weigh more
// than all else here.
func (c *container) askGRPC(ctx context.Context, a *corev1.GRPCAction) error {
	address, err := c.address("", intstr.FromInt32(a.Port))
	if err != nil {
		return err
	}
	service := ""
	if a.Service != nil {
		service = *a.Service
	}
	scheme, protocols := "http", new(http.Protocols)
	if a.Mode != nil && *a.Mode == corev1.GRPCProbeModeTLS {
		scheme = "https"
		protocols.SetHTTP2(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	target := scheme + "://" + address + "/grpc.health.v1.Health/Check"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(healthRequest(service)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("User-Agent", userAgent)
	client := probeClient(protocols)
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return fmt.Errorf("gRPC health of %s: %w", address, plainly(ctx, err))
	}
	defer func() { _ = resp.Body.Close() }()
	if err := health(resp); err != nil {
		return fmt.Errorf("gRPC health of %s: %w", address, err)
	}
	return nil
}

// healthRequest is a HealthCheckRequest with a service's name, in a frame.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(service)))...)
		message = append(message, service...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...)
}

// health reads the answer.
func health(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	code, message := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" { // an answer without a body has them in front
		code, message = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	switch {
	case code == "12":
		return errors.New("the program has no service grpc.health.v1.Health")
	case code != "0":
		return fmt.Errorf("status %q %s", code, short(message))
	}
	return healthOf(body)
}

// healthOf reads a frame with a HealthCheckResponse.
func healthOf(frame []byte) error {
	const head = 5 // whether it is compressed, and how long it is
	if len(frame) < head || frame[0] != 0 || int(binary.BigEndian.Uint32(frame[1:])) != len(frame)-head {
		return errors.New("the answer is no message")
	}
	status := uint64(0)
	for b := frame[head:]; len(b) > 0; {
		value, n := binary.Uvarint(b[1:])
		if b[0] != 1<<3 || n <= 0 {
			return errors.New("the answer is no health status")
		}
		status, b = value, b[1+n:]
	}
	switch status {
	case serving:
		return nil
	case 2:
		return errors.New("NOT_SERVING")
	case 3:
		return errors.New("SERVICE_UNKNOWN")
	}
	return fmt.Errorf("status %d", status)
}
