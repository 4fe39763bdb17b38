package prom

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/headgate-dev/headgate/gates"
)

// explain turns an error of the library into one that says in few words what
// happened, whether another try may help, and no secret.
func (c *Client) explain(ctx context.Context, seen *status, err error) error {
	var refused, retryable bool
	switch e, ok := errors.AsType[*v1.Error](err); {
	case errors.Is(context.Cause(ctx), errTooSlow):
		retryable, err = true, fmt.Errorf("prometheus gave no answer within %s", c.timeout)
	case errors.Is(err, errTooLarge):
		refused, err = true, fmt.Errorf("prometheus' answer is larger than %d MiB", MaxReply>>20)
	case ok && (e.Type == v1.ErrBadData || e.Type == v1.ErrExec):
		refused, err = true, fmt.Errorf("prometheus refuses the query: %s", clip(e.Msg))
	case ok && e.Type == v1.ErrTimeout:
		retryable, err = true, fmt.Errorf("prometheus ended the query: %s", clip(e.Msg))
	case ok && seen.code/100 == 2:
		err = errors.New("what answered does not speak Prometheus' query API")
	case ok:
		retryable = seen.code >= 500 || seen.code == http.StatusTooManyRequests || seen.code == http.StatusRequestTimeout
		err = fmt.Errorf("prometheus answered with status %d %s", seen.code, strings.ToLower(http.StatusText(seen.code)))
	default:
		retryable, err = true, fmt.Errorf("reach prometheus: %w", scrub(err))
	}
	return &gates.QueryError{Refused: refused, Retryable: retryable, Err: err}
}

// scrub drops the URL that net/http puts into its errors, since a URL may
// hold a token, and puts the commonest faults in plain words.
func scrub(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Errorf("no such host %s", dns.Name)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && errors.Is(err, syscall.ECONNREFUSED) && op.Addr != nil {
		return fmt.Errorf("connection to %s refused", op.Addr)
	}
	return err
}

// clip cuts text of others to one line that can be read.
func clip(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
