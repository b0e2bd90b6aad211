package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"rl/oci"
	"rl/userns/sys/fault"
)

const (
	maxErrorBody = 16 << 10
	maxErrorText = 200
)

// statusError is an answer that was no success.
type statusError struct {
	code  int
	host  string        // who answered
	token bool          // it was asked for a token
	after time.Duration // Retry-After
	codes []string      // "MANIFEST_UNKNOWN", …
	says  string        // the first message, printable
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.host, e.code, http.StatusText(e.code))
	if e.says != "" {
		text += ": " + e.says
	}
	return text
}

func (e *statusError) has(codes ...string) bool {
	return slices.ContainsFunc(codes, func(c string) bool { return slices.Contains(e.codes, c) })
}

// newStatusError reads an error answer, and closes its body. The forms are the
// distribution specification's ({"errors": [{code, message}]}) and the token services'.
func newStatusError(resp *http.Response) *statusError {
	e := &statusError{code: resp.StatusCode, host: resp.Request.URL.Host}
	e.after = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"`
	}
	if json.Unmarshal(raw, &body) == nil {
		e.says = printable(body.Details)
		for _, one := range body.Errors {
			e.codes = append(e.codes, one.Code)
			if e.says == "" {
				e.says = printable(one.Message)
			}
		}
	}
	return e
}

// parseRetryAfter: seconds, or a date.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// printable makes a stranger's words safe for a terminal, and short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxErrorText {
		return string(r[:maxErrorText]) + "…"
	}
	return s
}

// bare takes off the URL that net/http puts before an error: a redirect's
// address may hold a signature, and is noise in any case.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// explain turns a failure into words and a remedy. kind is "manifest" or
// "blob", name the tag or digest that was asked for.
func (c *client) explain(err error, kind, name string) error {
	var status *statusError
	var told *fault.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &told), errors.Is(err, oci.ErrCorrupt):
		return err
	case errors.As(err, &status):
		return c.explainStatus(err, status, kind, name)
	}
	return c.explainConnection(err)
}

func (c *client) explainStatus(err error, s *statusError, kind, name string) error {
	switch {
	case s.host != c.host && !s.token:
		return fault.New("the registry sent us there; try again", "%w", err)
	case s.code == http.StatusUnauthorized || s.code == http.StatusForbidden || s.has("DENIED", "UNAUTHORIZED"):
		return c.explainDenied(s)
	case s.token:
		return fault.New("try again later", "no token for the registry %s: %w", c.host, err)
	case s.code == http.StatusNotFound && kind == "blob":
		return fault.New("the image is incomplete at the registry; have it pushed again",
			"%w: the registry %s lacks the blob %s", oci.ErrNotFound, c.host, name)
	case s.code == http.StatusNotFound && s.has("NAME_UNKNOWN"):
		return fault.New("check the spelling of the name",
			"%w: the registry %s has no repository %s", oci.ErrNotFound, c.host, c.ref.Path)
	case s.code == http.StatusNotFound && c.ref.Digest == "":
		return fault.New("check the spelling of the name and the tag",
			"%w: the registry %s has no tag %q of %s", oci.ErrNotFound, c.host, name, c.ref.Path)
	case s.code == http.StatusNotFound:
		return fault.New("", "%w: the registry %s has no %s in %s", oci.ErrNotFound, c.host, name, c.ref.Path)
	case s.code == http.StatusTooManyRequests:
		return fault.New("wait, or log in: accounts have higher limits", "the registry limits the number of pulls: %w", err)
	case s.code >= 500:
		return fault.New("the registry has a problem; try again later", "%w", err)
	}
	return fault.New("is "+c.host+" a registry?", "%w", err)
}

// explainDenied: registries say the same of a private and of a missing
// repository, on purpose.
func (c *client) explainDenied(s *statusError) error {
	used := c.auth.used()
	says := ""
	if s.says != "" {
		says = ": " + s.says
	}
	switch {
	case used.trouble != nil:
		return fault.New(fmt.Sprintf("stored credentials could not be read: %v", used.trouble),
			"%w: pull access denied, or the repository does not exist%s", oci.ErrUnauthorized, says)
	case used.from != "":
		return fault.New("check the name; or log in again, with docker login or podman login",
			"%w: pull access denied with the credentials of %s, or the repository does not exist%s", oci.ErrUnauthorized, used.from, says)
	}
	return fault.New("check the name; a private image needs docker login or podman login (~/.docker/config.json)",
		"%w: pull access denied, or the repository does not exist%s", oci.ErrUnauthorized, says)
}

func (c *client) explainConnection(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return fault.New("check HTTPS_PROXY, HTTP_PROXY and NO_PROXY", "cannot reach the proxy for %s: %s", c.host, printable(err.Error()))
	case errors.As(err, &dns):
		return fault.New("check the spelling of the registry, and the network", "cannot find the registry %s: %s", dns.Name, printable(err.Error()))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New("is a registry running there?", "cannot reach the registry %s: connection refused", c.host)
	case isPlainServer(err):
		return fault.New("is it an http registry? use --tls-verify=false, or list it in insecure-registries",
			"the registry %s does not speak https", c.host)
	case errors.As(err, &cert):
		return fault.New("name its authority in SSL_CERT_FILE; or, if it is your own, use --tls-verify=false or list it in insecure-registries",
			"the registry %s has a certificate nobody here trusts: %s", c.host, printable(err.Error()))
	}
	return fault.New("check the network, then try again: what has been downloaded is kept",
		"cannot read from the registry %s: %w", c.host, err)
}
