package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// numberMark stands in a parsed URL for the number of the request.
const numberMark = "0-number-0"

// slot is one connection, or the place for one. net/http's own client is not
// used because it repeats a request whose connection broke, which is what is
// to be counted.
type slot struct {
	target *url.URL
	host   string
	fresh  bool
	most   int // requests of one connection, 0 for any number
	sent   int // on this one
	conn   net.Conn
	reader *bufio.Reader
}

func (s *slot) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
	s.sent = 0
}

// do makes one request and says how it went.
func (s *slot) do(number int, deadline time.Time) outcome {
	o, keep := s.exchange(number, deadline)
	if s.sent++; s.fresh || !keep || s.sent == s.most {
		s.close()
	}
	return o
}

func (s *slot) exchange(number int, deadline time.Time) (o outcome, keep bool) {
	if s.conn != nil && !alive(s.conn) {
		// Closed while idle and seen before anything was sent: any client
		// takes another connection then. It is counted, but no failure.
		s.close()
		o.reconnected = true
	}
	if s.conn == nil {
		dialer := net.Dialer{Deadline: deadline}
		conn, err := dialer.Dial("tcp4", s.target.Host)
		if err != nil {
			return o.failed(err), false
		}
		s.conn, s.reader = conn, bufio.NewReaderSize(conn, 4096)
	}
	if err := s.conn.SetDeadline(deadline); err != nil {
		return o.failed(err), false
	}
	path := strings.ReplaceAll(s.target.RequestURI(), numberMark, strconv.Itoa(number%1000))
	connection := "keep-alive"
	if s.fresh {
		connection = "close"
	}
	if _, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: headgate-load\r\nConnection: %s\r\n\r\n", path, s.host, connection); err != nil {
		return o.failed(err), false
	}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		return o.failed(err), false
	}
	defer response.Body.Close()
	o.version = response.Header.Get("X-Version")
	o.status = response.StatusCode
	n, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxBody))
	if err != nil {
		return o.failed(err), false
	}
	if o.status >= 400 {
		o.kind = Kind("status " + strconv.Itoa(o.status))
		o.err = errors.New(response.Status)
	}
	return o, n < maxBody && !response.Close
}

// failed sorts an error by what the user of a service would have seen.
func (o outcome) failed(err error) outcome {
	o.err = err
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.kind = Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		o.kind = Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		o.kind = Reset
	default:
		o.kind = Other
	}
	return o
}
