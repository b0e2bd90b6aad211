package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	firstDelay = 200 * time.Millisecond
	maxDelay   = 10 * time.Second
	patience   = 2 * time.Minute // the longest Retry-After that is waited for
)

var errStalled = errors.New("the connection went silent")

// cutError is an answer that ended before its end: always worth another try.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the connection was cut: " + printable(e.err.Error()) }
func (e *cutError) Unwrap() error { return e.err }

// backoff counts attempts and waits between them: exponentially longer, with
// jitter, and as long as the server asked for.
type backoff struct {
	failed, most int
	sleep        func(context.Context, time.Duration) error
}

func (c *client) backoff() *backoff { return &backoff{most: c.tries, sleep: c.sleep} }

// progress starts the counting anew.
func (b *backoff) progress() { b.failed = 0 }

// wait returns nil when err is worth another attempt, after a pause; else the
// error to give up with.
func (b *backoff) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !temporary(err) {
		return err
	}
	after := retryAfter(err)
	if after > patience {
		return fmt.Errorf("%w (it asks to come back in %s)", err, after.Round(time.Second))
	}
	if b.failed >= b.most {
		if b.most == 0 {
			return err
		}
		return fmt.Errorf("%w (tried %d times)", err, b.failed+1)
	}
	delay := min(firstDelay<<b.failed, maxDelay)
	delay = delay/2 + rand.N(delay/2) //nolint:gosec // jitter, no secret
	b.failed++
	return b.sleep(ctx, max(delay, after))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// temporary: may the same request succeed a moment later? A refused connection
// and an unknown name are not: people who mistyped should be told at once.
func temporary(err error) bool {
	var cut *cutError
	if errors.As(err, &cut) {
		return true
	}
	var status *statusError
	if errors.As(err, &status) {
		switch status.code {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	if errors.Is(err, errRefused) {
		return false
	}
	for _, passing := range [...]error{
		io.EOF, io.ErrUnexpectedEOF, errStalled, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTimeout || dns.IsTemporary
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	// net/http keeps the types of HTTP/2's errors to itself
	text := err.Error()
	return strings.Contains(text, "stream error: ") || strings.Contains(text, "http2: server sent GOAWAY") ||
		strings.Contains(text, "http2: client connection lost")
}

// retryAfter is how long the server asked to be left alone.
func retryAfter(err error) time.Duration {
	var status *statusError
	if errors.As(err, &status) {
		return status.after
	}
	return 0
}

// because puts the reason for which we cancelled a context in place of
// "context canceled", unless it was the caller who did.
func because(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}
