package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/registry/manifest"
)

// Blob implements oci.Source. It returns when the registry has begun to
// answer; the stream then heals itself until the attempts without progress are
// used up. It never gives more than d.Size+1 bytes: one too many, so that whoever verifies
// the size sees that it is wrong.
func (s *source) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if err := manifest.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("%s: %w", s.ref.Familiar(), err)
	}
	if d.Size < 0 {
		return nil, fmt.Errorf("%s: %w: %s is announced with %d bytes", s.ref.Familiar(), oci.ErrCorrupt, d.Digest, d.Size)
	}
	if len(d.Data) > 0 && int64(len(d.Data)) == d.Size { // embedded in the manifest
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	b := &blob{ctx: ctx, source: s, client: s.client, d: d, retry: s.client.backoff()}
	for b.body == nil {
		if err := b.open(); err != nil {
			if err = b.retry.wait(ctx, err); err != nil {
				return nil, b.explain(err)
			}
		}
	}
	return b, nil
}

// blob reads one blob through as many requests as it takes.
//
//	request 1   200 ──────────► cut
//	request 2   Range: bytes=n-   206 ─────► cut
//	request 3   Range: bytes=m-   200 (ignored the Range): skip m bytes, then ──────► EOF
type blob struct {
	ctx    context.Context
	source *source
	client *client
	d      v1.Descriptor
	retry  *backoff

	off     int64 // bytes given to the reader
	noRange bool  // the registry said 416 to a range which is right
	body    io.ReadCloser
	stop    context.CancelCauseFunc // ends the request that body belongs to
	request context.Context
	silence *time.Timer // fires when a read takes too long
	err     error       // the last word
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil {
		if b.off > b.d.Size {
			return 0, b.end(io.EOF)
		}
		n, err := b.attempt(p[:min(int64(len(p)), b.d.Size+1-b.off)])
		if n > 0 {
			b.off += int64(n)
			b.retry.progress()
			return n, nil // an error is met again by the next read
		}
		switch {
		case err == nil:
		case b.ctx.Err() != nil:
			return 0, b.end(b.ctx.Err())
		case b.off == b.d.Size && b.body != nil:
			return 0, b.end(io.EOF) // complete, however the connection ended
		default:
			b.hangUp()
			if err = b.retry.wait(b.ctx, err); err != nil {
				return 0, b.end(b.explain(err))
			}
		}
	}
	return 0, b.err
}

// attempt reads from the current answer, or gets the next one.
func (b *blob) attempt(p []byte) (int, error) {
	if b.body == nil {
		if err := b.open(); err != nil {
			return 0, b.later(err)
		}
	}
	n, err := b.read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = &cutError{err}
	}
	return n, err
}

// later: after a blob has begun, a refused connection is a registry that
// restarts, not a name mistyped.
func (b *blob) later(err error) error {
	var status *statusError
	if errors.As(err, &status) || errors.Is(err, oci.ErrCorrupt) || errors.Is(err, errRefused) {
		return err
	}
	return &cutError{err}
}

// read is body.Read with an alarm clock: a silent connection is cut.
func (b *blob) read(p []byte) (int, error) {
	b.silence.Reset(b.client.stall)
	n, err := b.body.Read(p)
	b.silence.Stop()
	if err != nil && err != io.EOF {
		err = because(b.request, err)
	}
	return n, err
}

// open sends a request for what is still missing.
func (b *blob) open() (err error) {
	header := http.Header{"Accept-Encoding": {"identity"}}
	resume := b.off > 0 && !b.noRange
	if resume {
		last := max(b.off, b.d.Size-1) // not "n-", which some registries do not read
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.off, last))
	}
	ctx, stop := context.WithCancelCause(b.ctx)
	silence := time.AfterFunc(b.client.stall, func() { stop(errStalled) })
	defer func() {
		silence.Stop()
		if err != nil {
			err = because(ctx, err)
			stop(nil)
		}
	}()
	resp, err := b.client.get(ctx, "blobs/"+string(b.d.Digest), header)
	if err != nil {
		var status *statusError
		if resume && errors.As(err, &status) && status.code == http.StatusRequestedRangeNotSatisfiable {
			b.noRange = true
			return &cutError{err}
		}
		return err
	}
	if err = b.check(resp, resume); err != nil {
		_ = resp.Body.Close()
		return err
	}
	b.body, b.request, b.stop, b.silence = resp.Body, ctx, stop, silence
	if resp.StatusCode == http.StatusOK {
		if err = b.skip(b.off); err != nil {
			b.hangUp()
			return &cutError{err}
		}
	}
	return nil
}

// check holds an answer against what was asked.
func (b *blob) check(resp *http.Response, resume bool) error {
	if resp.StatusCode == http.StatusOK {
		if n := resp.ContentLength; n >= 0 && n != b.d.Size {
			return fmt.Errorf("%w: the registry announces %d bytes of %s, the manifest %d", oci.ErrCorrupt, n, b.d.Digest, b.d.Size)
		}
		return nil
	}
	got := resp.Header.Get("Content-Range")
	if first, total, ok := parseContentRange(got); !resume || !ok || first != b.off || total >= 0 && total != b.d.Size {
		return fmt.Errorf("%w: asked for %s from byte %d, the registry answered with the range %q",
			oci.ErrCorrupt, b.d.Digest, b.off, printable(got))
	}
	return nil
}

// skip passes over bytes the reader has had already.
func (b *blob) skip(n int64) error {
	buf := make([]byte, min(n, 64<<10))
	for n > 0 {
		k, err := b.read(buf[:min(n, int64(len(buf)))])
		n -= int64(k)
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// parseContentRange reads "bytes first-last/total"; total is -1 for "*".
func parseContentRange(s string) (first, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	from, to, ok3 := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total = -1
	var err3 error
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	ok = ok && ok2 && ok3 && err == nil && err2 == nil && err3 == nil && 0 <= first && first <= last
	return first, total, ok
}

func (b *blob) hangUp() {
	if b.body != nil {
		b.stop(nil)
		_ = b.body.Close()
		b.body = nil
	}
}

// end is the last thing a reader is told, now and ever after.
func (b *blob) end(err error) error {
	b.hangUp()
	b.err = err
	return err
}

// Close implements io.Closer.
func (b *blob) Close() error {
	if b.err == nil {
		b.err = errors.New("read from a closed blob")
	}
	b.hangUp()
	return nil
}

func (b *blob) explain(err error) error {
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound && isForeign(b.d) {
		return fmt.Errorf("%s: %w: %s is a foreign layer, which registries do not hold; its urls are not followed",
			b.source.ref.Familiar(), oci.ErrNotFound, b.d.Digest)
	}
	var cut *cutError
	if errors.As(err, &cut) {
		err = fmt.Errorf("%s after %d of %d bytes: %w", b.d.Digest, b.off, b.d.Size, err)
	}
	return fmt.Errorf("%s: %w", b.source.ref.Familiar(), b.client.explain(err, "blob", string(b.d.Digest)))
}

func isForeign(d v1.Descriptor) bool {
	return len(d.URLs) > 0 || d.MediaType == oci.DockerForeignLayer || strings.Contains(d.MediaType, "nondistributable")
}
