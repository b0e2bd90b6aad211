package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"rl/oci/ref"
	"rl/userns/sys/fault"
)

const (
	dialTimeout     = 15 * time.Second
	headerTimeout   = 60 * time.Second // registries that compute a blob first are slow
	maxHeaderBytes  = 256 << 10
	maxRedirects    = 10
	maxIdleConns    = 16
	readBufferBytes = 64 << 10
)

// newHTTP makes the client for one registry. Proxies come from the environment
// (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); net/http never uses one for loopback.
func newHTTP(host string, insecure bool, rt http.RoundTripper) *http.Client {
	if rt == nil {
		rt = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer(host),
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: insecure}, //nolint:gosec // the user listed this registry
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConnsPerHost:    maxIdleConns,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ReadBufferSize:         readBufferBytes,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // digests are of the bytes as they are sent
		}
	}
	return &http.Client{Transport: rt, CheckRedirect: redirect(host, insecure)}
}

// dialer refuses to connect to addresses no registry has any business to send
// us to, whatever name resolved to them. What the user named himself (the
// registry, a proxy) is dialed wherever it is.
func dialer(registry string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
		if !sameHost(addr, registry) && !isProxy(addr) {
			d.Control = func(_, resolved string, _ syscall.RawConn) error {
				return checkAddress(resolved)
			}
		}
		return d.DialContext(ctx, network, addr)
	}
}

// isProxy: is this the proxy the environment names for some host?
func isProxy(addr string) bool {
	for _, scheme := range [...]string{"https", "http"} {
		// TEST-NET-1: an address that no NO_PROXY is likely to exempt
		u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: "192.0.2.1"}})
		if err == nil && u != nil && sameHost(addr, u.Host) {
			return true
		}
	}
	return false
}

// sameHost compares hosts without their ports.
func sameHost(a, b string) bool {
	return strings.EqualFold(hostOnly(a), hostOnly(b))
}

func hostOnly(s string) string {
	return (&url.URL{Host: s}).Hostname()
}

// checkHost is checkAddress for a URL's host, when that is an address.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err != nil {
		return nil // a name: dialer looks at what it resolves to
	}
	return checkAddress(net.JoinHostPort(host, "0"))
}

// checkAddress refuses link-local addresses (where clouds serve credentials of
// the machine: 169.254.169.254, fe80::/10) and the two such services elsewhere.
func checkAddress(addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("cannot read the address %q", addr)
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		ip == netip.AddrFrom4([4]byte{100, 100, 100, 200}) || // Alibaba Cloud
		ip == netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54}) { // AWS, fd00:ec2::254
		return fault.New("the registry, or its token service, is misconfigured or hostile",
			"%w: it sent us to %s, which is reserved for the machine's own network", errRefused, ip)
	}
	return nil
}

// errRefused marks what we do not do: it is never tried again.
var errRefused = errors.New("refused")

// redirect is the policy for redirects: the Authorization header stays with the
// host it was meant for (net/http would also give it to other ports and to subdomains),
// https does not become http, and reserved addresses are not visited.
func redirect(registry string, insecure bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		from := via[len(via)-1].URL
		switch {
		case len(via) >= maxRedirects:
			return fmt.Errorf("%w: more than %d redirects", errRefused, maxRedirects)
		case req.URL.Scheme != "http" && req.URL.Scheme != "https":
			return fmt.Errorf("%w: a redirect to a %q address", errRefused, req.URL.Scheme)
		case via[0].Method == http.MethodPost && req.URL.Host != via[0].URL.Host:
			return fmt.Errorf("%w: a redirect of credentials to %q", errRefused, req.URL.Host)
		case from.Scheme == "https" && req.URL.Scheme == "http" && !insecure:
			return fmt.Errorf("%w: a redirect from https to http, to %q", errRefused, req.URL.Host)
		}
		if !sameHost(req.URL.Host, registry) {
			if err := checkHost(req.URL.Hostname()); err != nil {
				return err
			}
		}
		if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
			req.Header.Del("Authorization")
		}
		req.Header.Del("Referer")
		return nil
	}
}

// isInsecure: did the user list this registry?
func isInsecure(r ref.Ref, list []string) bool {
	ip, ipErr := netip.ParseAddr(r.Hostname())
	for _, entry := range list {
		if entry == "*" || strings.EqualFold(entry, r.Domain) || strings.EqualFold(entry, r.Hostname()) {
			return true
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil && ipErr == nil && prefix.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// wantsTLS recognises what servers of https say to http, and leaves the body as
// it was.
func wantsTLS(resp *http.Response) bool {
	if resp.StatusCode != http.StatusBadRequest || resp.Request.URL.Scheme != "http" {
		return false
	}
	start, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), resp.Body), resp.Body}
	return bytes.Contains(start, []byte("HTTPS")) // Go's and nginx's words
}

// otherScheme: could the failure mean that the server speaks the other one?
func otherScheme(err error) bool {
	var op *net.OpError
	return isPlainServer(err) || errors.As(err, &op) && op.Op == "dial" ||
		strings.Contains(err.Error(), "malformed HTTP response") // TLS's alert
}

// isPlainServer: we spoke TLS to a server of plain http.
func isPlainServer(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
