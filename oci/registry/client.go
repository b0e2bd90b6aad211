package registry

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"rl/oci"
	"rl/oci/ref"
	"rl/oci/registry/manifest"
)

// hubHost is where docker.io's registry really is.
const hubHost = "registry-1.docker.io"

// client sends GET requests to one repository.
type client struct {
	ref   ref.Ref
	host  string // with port
	http  *http.Client
	agent string
	tries int // retries

	auth authorizer

	mu      sync.Mutex
	schemes []string // candidates, best first; one is left once a request came through

	stall time.Duration                              // a connection silent for so long is dead
	sleep func(context.Context, time.Duration) error // replaced in tests
}

func newClient(r ref.Ref, o Options) *client {
	c := &client{ref: r, host: r.Domain, agent: o.UserAgent, tries: o.Retries, stall: time.Minute, sleep: sleep}
	if r.Domain == ref.DefaultDomain {
		c.host = hubHost
	}
	if c.agent == "" {
		c.agent = "rl"
	}
	switch {
	case c.tries == 0:
		c.tries = 5
	case c.tries < 0:
		c.tries = 0
	}
	insecure := r.Plain() || isInsecure(r, o.Insecure)
	switch {
	case r.Plain():
		c.schemes = []string{"http", "https"}
	case insecure:
		c.schemes = []string{"https", "http"}
	default:
		c.schemes = []string{"https"}
	}
	c.http = newHTTP(c.host, insecure, o.Transport)
	c.auth = authorizer{client: c, insecure: insecure}
	return c
}

// document gets a manifest or an index by tag or digest, and its headers.
func (c *client) document(ctx context.Context, name string) (http.Header, []byte, error) {
	retry := c.backoff()
	for {
		header, raw, err := c.documentOnce(ctx, name)
		if err == nil {
			return header, raw, nil
		}
		if err = retry.wait(ctx, err); err != nil {
			return nil, nil, c.explain(err, "manifest", name)
		}
	}
}

func (c *client) documentOnce(ctx context.Context, name string) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.stall, errStalled)
	defer cancel()
	resp, err := c.get(ctx, "manifests/"+name, http.Header{"Accept": {strings.Join(manifest.Accept(), ", ")}})
	if err != nil {
		return nil, nil, because(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, manifest.MaxSize+1))
	switch {
	case err != nil:
		return nil, nil, &cutError{because(ctx, err)}
	case len(raw) > manifest.MaxSize:
		return nil, nil, fmt.Errorf("%w: the manifest is larger than %d bytes", oci.ErrCorrupt, manifest.MaxSize)
	}
	return resp.Header, raw, nil
}

// get sends one request and answers one challenge. Any status but 200 and 206
// comes back as a *statusError; the body is the caller's to close.
func (c *client) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	for challenged := false; ; challenged = true {
		sent := c.auth.header()
		resp, err := c.send(ctx, path, header, sent)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent:
			return resp, nil
		case resp.StatusCode == http.StatusUnauthorized && !challenged && c.ours(resp):
			challenges := parseChallenges(resp.Header)
			drain(resp)
			if err := c.auth.answer(ctx, sent, challenges); err != nil {
				return nil, err
			}
		default:
			return nil, newStatusError(resp)
		}
	}
}

// ours: was it the registry that answered, or a host it redirected to? Only
// the registry's own challenges are answered.
func (c *client) ours(resp *http.Response) bool {
	return resp.Request.URL.Host == c.host
}

// send tries the schemes that may be spoken until one is.
func (c *client) send(ctx context.Context, path string, header http.Header, authorization string) (*http.Response, error) {
	c.mu.Lock()
	schemes := c.schemes
	c.mu.Unlock()
	var first error
	for i, scheme := range schemes {
		url := scheme + "://" + c.host + "/v2/" + c.ref.Path + "/" + path
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", c.agent)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := c.http.Do(req)
		switch {
		case err == nil && len(schemes) > i+1 && wantsTLS(resp):
			drain(resp)
			continue
		case err == nil:
			c.settle(scheme)
			return resp, nil
		}
		if err = bare(err); first == nil {
			first = err
		}
		if !otherScheme(err) {
			break
		}
	}
	return nil, first
}

// settle remembers the scheme that worked, so that a later failure cannot lead
// from https to http.
func (c *client) settle(scheme string) {
	c.mu.Lock()
	c.schemes = []string{scheme}
	c.mu.Unlock()
}

func mediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return t
}

func digestHeader(h http.Header) digest.Digest {
	return digest.Digest(h.Get("Docker-Content-Digest"))
}

// drain empties a small body, so that the connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
