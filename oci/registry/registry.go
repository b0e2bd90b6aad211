// Package registry pulls images from registries that speak the distribution
// protocol: docker.io, a company's, or one on a loopback port.
//
//	Source ── Resolve, Blob                    registry.go, blob.go
//	  └ client ── one GET, done right          client.go
//	      ├ backoff: again, later, or not      retry.go
//	      ├ authorizer: 401 → token or basic   auth.go, challenge.go, credentials.go
//	      ├ errors a person can act upon       errors.go
//	      └ transport: proxies, TLS, redirects transport.go
//
// It is plain HTTP over four kinds of URL (manifests, blobs, a token, whatever a
// blob redirects to), and a registry is only ever sent GET. A blob's stream
// survives cut connections, which is why it is written here and not taken from a
// library. Blobs are not verified (the store does that, once, while it writes
// them); manifests are.
//
// A registry is a stranger. It cannot make rl send credentials to another host,
// talk to the cloud's metadata service, read without end, or write control
// characters to a terminal. The urls of foreign layers are not followed.
package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/ref"
	"rl/oci/registry/manifest"
)

// Options are how to reach registries. The zero value is right for most.
type Options struct {
	// Insecure are the registries (HOST, HOST:PORT or a network as 10.0.0.0/8)
	// which may show any certificate or speak plain http, as docker's
	// insecure-registries and podman's --tls-verify=false. "*" is all of them.
	Insecure []string

	// Retries is how often something is tried again that failed for a reason
	// which may pass. For a blob it counts the failures without a byte
	// of progress in between. 0 means 5; negative means never.
	Retries int

	// Transport replaces the connection to the network. For tests.
	Transport http.RoundTripper

	// UserAgent is the User-Agent header. "" means "rl".
	UserAgent string
}

// Open makes a source of the image that r names. It does not touch the network
// yet. The source is safe for concurrent use, and an io.Closer: Close lets its idle
// connections go.
func Open(r ref.Ref, o Options) oci.Source {
	return &source{ref: r, client: newClient(r, o)}
}

type source struct {
	ref    ref.Ref
	client *client
}

var _ io.Closer = (*source)(nil)

// Close ends idle connections. Blobs that are open stay readable.
func (s *source) Close() error {
	s.client.http.CloseIdleConnections()
	return nil
}

// Resolve implements oci.Source.
func (s *source) Resolve(ctx context.Context, p v1.Platform) (*oci.Resolved, error) {
	res, err := s.resolve(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ref.Familiar(), err)
	}
	res.Name = s.ref.Name()
	return res, nil
}

func (s *source) resolve(ctx context.Context, p v1.Platform) (*oci.Resolved, error) {
	top, raw, err := s.top(ctx)
	if err != nil {
		return nil, err
	}
	return manifest.Walk(ctx, top, raw, p, func(ctx context.Context, d v1.Descriptor) ([]byte, error) {
		_, raw, err := s.client.document(ctx, string(d.Digest))
		return raw, err
	})
}

// top gets the document which the reference names and verifies it: against
// the reference's digest, or else against the one the registry states.
func (s *source) top(ctx context.Context) (v1.Descriptor, []byte, error) {
	name := s.ref.Tag
	if s.ref.Digest != "" {
		name = string(s.ref.Digest)
	}
	header, raw, err := s.client.document(ctx, name)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	d := v1.Descriptor{
		MediaType: mediaType(header.Get("Content-Type")),
		Digest:    s.ref.Digest,
		Size:      int64(len(raw)),
	}
	if d.Digest == "" {
		d.Digest = manifest.DigestOf(raw)
		stated := v1.Descriptor{Digest: digestHeader(header), Size: d.Size}
		if stated.Digest != "" {
			if err := manifest.Verify(stated, raw); err != nil {
				return v1.Descriptor{}, nil, fmt.Errorf("the registry sent a manifest that is not the one it named: %w", err)
			}
		}
		return d, raw, nil
	}
	if err := manifest.Verify(d, raw); err != nil {
		return v1.Descriptor{}, nil, fmt.Errorf("the registry sent another manifest than the one asked for: %w", err)
	}
	return d, raw, nil
}
