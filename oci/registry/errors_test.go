package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rl/oci"
	"rl/userns/sys/fault"
)

// dialsTo brings every connection to one server, whatever the name.
func dialsTo(server *httptest.Server) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
}

func contextCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 20*time.Millisecond)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestErrorsSayWhatToDo(t *testing.T) {
	reg, host := start(t)
	pushed(t, reg, "1", 10)
	plain := httptest.NewServer(reg)
	defer plain.Close()
	secure := tlsServer(reg)
	defer secure.Close()
	untrusting := dialsTo(secure)
	untrusting.TLSClientConfig = nil
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	fails := func(err error) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	}
	for name, tc := range map[string]struct {
		image string
		via   http.RoundTripper
		is    error
		text  string
		hint  string
	}{
		"no such tag":        {host + "/team/app:2", nil, oci.ErrNotFound, `has no tag "2" of team/app`, "spelling"},
		"no such repository": {host + "/team/other", nil, oci.ErrNotFound, "has no repository team/other", "spelling"},
		"no such digest":     {host + "/team/app@sha256:" + strings.Repeat("0", 64), nil, oci.ErrNotFound, "has no sha256:0000", ""},
		"nobody there":       {closed.Addr().String() + "/x", nil, nil, "connection refused", "is a registry running there?"},
		"http, not https":    {"registry.example/x", dialsTo(plain), nil, "does not speak https", "--tls-verify=false"},
		"untrusted":          {"registry.example/x", untrusting, nil, "certificate", "SSL_CERT_FILE"},
		"unknown name":       {"registry.example/x", fails(&net.DNSError{Err: "no such host", Name: "registry.example", IsNotFound: true}), nil, "cannot find the registry registry.example", "spelling"},
		"hub's unknown name": {"debian", fails(&net.DNSError{Err: "no such host", Name: "registry-1.docker.io", IsNotFound: true}), nil, "debian:latest: cannot find", "network"},
		"proxy away":         {"registry.example/x", fails(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New("dial tcp: refused")}), nil, "cannot reach the proxy", "HTTPS_PROXY"},
		"anything else":      {"registry.example/x", fails(errors.New("bad\x1b[31m luck")), nil, "cannot read from the registry", "network"},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := open(t, tc.image, Options{Transport: tc.via})
			_, err := s.Resolve(t.Context(), amd64)
			if name != "anything else" {
				wantText(t, err, tc.text)
			}
			var told *fault.Error
			if !errors.As(err, &told) || !strings.Contains(told.Hint, tc.hint) {
				t.Errorf("hint %+v lacks %q", told, tc.hint)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			if len(p.all) != 0 {
				t.Errorf("tried %d times again", len(p.all))
			}
		})
	}
}

func TestHostileErrorBody(t *testing.T) {
	reg, host := start(t)
	reg.Break(bad{Status: 403, Body: `{"errors":[{"code":"DENIED","message":"\u001b]0;owned\u0007\u202e` + "\\nsecond line" + strings.Repeat("A", 5000) + `"}]}`})
	s, _ := open(t, host+"/team/app:1", Options{})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, "pull access denied", "?]0;owned??")
	if len(err.Error()) > 600 || strings.ContainsRune(err.Error(), '\u202e') {
		t.Errorf("%d bytes: %q", len(err.Error()), err)
	}
}

func TestGiantHeaders(t *testing.T) {
	reg, host := start(t)
	pushed(t, reg, "1", 10)
	reg.Break(bad{Header: http.Header{"X-Giant": {strings.Repeat("x", 2*maxHeaderBytes)}}})
	s, _ := open(t, host+"/team/app:1", Options{})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, "headers exceeded")
}

func TestCancelled(t *testing.T) {
	reg, host := start(t)
	reg.Break(bad{Hang: true})
	s, _ := open(t, host+"/team/app:1", Options{})
	ctx, cancel := contextCancelled(t)
	defer cancel()
	began := time.Now()
	_, err := s.Resolve(ctx, amd64)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Error(err, time.Since(began))
	}
	if n := reg.Count(""); n != 1 {
		t.Errorf("%d requests", n)
	}
}
