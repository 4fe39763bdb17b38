// Package registry looks at container images where they are kept.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/headgate-dev/headgate/stages"
)

// Bounds of one question to a registry.
const (
	maxAnswer = 8 << 20
	maxReason = 300
)

// Client asks registries, with the credentials that docker and podman have on
// this machine. Registries on this machine and on private addresses are asked
// by plain HTTP where they do not speak HTTPS. The zero value is ready for use.
type Client struct {
	// Timeout bounds one question, its repetitions included; 0 means 30 s.
	Timeout time.Duration
	// Transport is used for requests; nil is the usual one.
	Transport http.RoundTripper
	// Keychain finds credentials; nil is that of docker and podman.
	Keychain authn.Keychain
	// Pause is the time before the first repetition; 0 means 250 ms.
	Pause time.Duration
}

var _ stages.Registry = (*Client)(nil)

// Error reports that a registry does not have an image, or does not give it.
type Error struct {
	// Image is what was asked for, Registry who was asked.
	Image, Registry string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	// Reason is the registry's own, or what became of the connection.
	Reason string
	// Err is the error behind it. Its text may name addresses with their
	// parameters, so it is not shown.
	Err error
}

// Error names image, registry and reason.
func (e *Error) Error() string {
	return fmt.Sprintf("find image %s: registry %s: %s", e.Image, e.Registry, e.Reason)
}

// Unwrap returns the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what a person can do.
func (e *Error) Hint() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "log in to " + e.Registry + " in the CI job, with an account that may read the image; many registries answer so for images that do not exist, too"
	case http.StatusNotFound:
		return "check name and tag, and that the image has been pushed"
	case http.StatusTooManyRequests:
		return "log in to " + e.Registry + ", which allows more requests"
	}
	return ""
}

// Resolve returns the reference by digest of an image given by tag or digest.
// Where the image is for several platforms, the digest is that of its index.
func (c *Client) Resolve(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(image, name.WeakValidation)
	if err != nil {
		return "", fmt.Errorf("find image: %q is not the name of an image", image)
	}
	d := c.Timeout
	if d == 0 {
		d = 30 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %s", d))
	defer cancel()
	digest, err := c.digest(ctx, ref)
	if err != nil {
		return "", explain(ctx, image, ref, err)
	}
	text := image
	if at := strings.IndexByte(text, '@'); at >= 0 {
		if given := text[at+1:]; given != digest.String() {
			return "", &Error{
				Image: image, Registry: ref.Context().RegistryStr(),
				Reason: "it answered with another digest, " + digest.String(),
			}
		}
		text = text[:at]
	}
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, '/') {
		text = text[:colon]
	}
	return text + "@" + digest.String(), nil
}

// digest asks for the image's head only, and for all of its manifest where
// the registry does not answer that, since only that tells a reason.
func (c *Client) digest(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	auth, err := c.credentials(ctx, ref.Context())
	if err != nil {
		return v1.Hash{}, err
	}
	pause := c.Pause
	if pause == 0 {
		pause = 250 * time.Millisecond
	}
	base := c.Transport
	if base == nil {
		base = remote.DefaultTransport
	}
	options := []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(auth),
		remote.WithTransport(bounded{base}),
		remote.WithUserAgent("headgate"),
		remote.WithRetryBackoff(remote.Backoff{Duration: pause, Factor: 2, Jitter: 0.1, Steps: 4}),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
	}
	head, err := remote.Head(ref, options...)
	if err == nil {
		return head.Digest, nil
	}
	if ctx.Err() != nil {
		return v1.Hash{}, err
	}
	whole, err := remote.Get(ref, options...)
	if err != nil {
		return v1.Hash{}, err
	}
	return whole.Digest, nil
}

// credentials asks the keychain, which may run a program that is not ours and
// does not know of ctx: one that hangs is left behind.
func (c *Client) credentials(ctx context.Context, repository name.Repository) (authn.Authenticator, error) {
	keys := c.Keychain
	if keys == nil {
		keys = authn.DefaultKeychain
	}
	type answer struct {
		auth authn.Authenticator
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		auth, err := authn.Resolve(ctx, keys, repository)
		answers <- answer{auth, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			// A helper's own message may hold what it was asked for.
			return nil, errors.New("the credentials of this machine cannot be read")
		}
		return a.auth, nil
	case <-ctx.Done():
		return nil, errors.New("the credential helper does not answer")
	}
}

// explain makes an [Error].
func explain(ctx context.Context, image string, ref name.Reference, err error) error {
	e := &Error{Image: image, Registry: ref.Context().RegistryStr(), Err: err}
	answer, ok := errors.AsType[*transport.Error](err)
	switch {
	case ok:
		e.Status, e.Reason = answer.StatusCode, reason(answer)
	case ctx.Err() != nil:
		e.Reason, e.Err = context.Cause(ctx).Error(), context.Cause(ctx)
	default:
		e.Reason = innermost(err)
	}
	return e
}

// reason returns the registry's own words.
func reason(e *transport.Error) string {
	var all []string
	for _, d := range e.Errors {
		text := string(d.Code)
		if d.Message != "" && !strings.EqualFold(d.Message, text) {
			text += ": " + d.Message
		}
		all = append(all, text)
	}
	status := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if len(all) == 0 {
		return status
	}
	text := strings.Join(all, "; ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text + " (" + status + ")"
}

// innermost returns the text of the error at the bottom, which names no
// address with parameters.
func innermost(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // the walk itself
		case interface{ Unwrap() error }:
			next := e.Unwrap()
			if next == nil {
				return err.Error()
			}
			err = next
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			if len(all) == 0 {
				return err.Error()
			}
			err = all[len(all)-1]
		default:
			return err.Error()
		}
	}
}

// bounded limits what is read of an answer.
type bounded struct{ next http.RoundTripper }

// RoundTrip makes the request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
