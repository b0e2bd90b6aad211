package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/userns/sys/fault"
)

const (
	copySize = 256 << 10
	// flushEvery is how often the kernel is told to begin writing what was
	// downloaded, so that the fsync at the end finds little left to do.
	flushEvery = 8 << 20
)

// Fetch brings a blob into the store, once however many ask for it, in this process
// and in others. Who comes first calls open and downloads; the rest waits and reads
// the published blob. tee, if not nil, is given every byte in either case, as it
// comes: a consumer of tee must not believe the bytes before Fetch has returned nil.
//
// A blob of the wrong size or digest is an oci.ErrCorrupt that says what was expected
// and what came, and leaves nothing behind. A blob in the store whose size is wrong is
// fetched anew; one that turns out to be damaged while tee reads it is removed and
// reported, and the next Fetch downloads it.
func (s *Store) Fetch(ctx context.Context, d v1.Descriptor, open func(context.Context) (io.ReadCloser, error), tee io.Writer) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if s.sizeIs(d) {
		return s.replay(ctx, d, tee)
	}
	l, err := s.acquire(ctx, blobLock(d.Digest))
	if err != nil {
		return err
	}
	if s.sizeIs(d) {
		l.release()
		return s.replay(ctx, d, tee)
	}
	defer l.release()
	return s.download(ctx, d, open, tee)
}

func blobLock(d digest.Digest) string { return "blob-" + dashed(d) }

// dashed is a digest as a file name: sha256-HEX.
func dashed(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// download fetches a blob whose lock is held.
func (s *Store) download(ctx context.Context, d v1.Descriptor, open func(context.Context) (io.ReadCloser, error), tee io.Writer) error {
	// Killed downloads make room for this one. What cannot be removed does no harm.
	_, _ = s.sweep(nil)
	src, err := open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := s.prepareBlobDir(d.Digest); err != nil {
		return s.explain(err, "cannot write the blob %s", d.Digest)
	}
	tmp, err := s.newFile("blob")
	if err != nil {
		return s.explain(err, "cannot write the blob %s", d.Digest)
	}
	dst := &flusher{file: tmp.File}
	if err := s.verify(ctx, d, src, dst, tee); err != nil {
		tmp.drop()
		return err
	}
	if err := tmp.publish(s.blobPath(d.Digest)); err != nil {
		return s.explain(err, "cannot publish the blob %s", d.Digest)
	}
	return nil
}

// replay gives a blob of the store to tee, and hashes it on the way: a disk that lost
// bytes is found here, rather than as a riddle in the unpacker, again and again.
func (s *Store) replay(ctx context.Context, d v1.Descriptor, tee io.Writer) error {
	if tee == nil {
		return nil
	}
	f, err := s.OpenBlob(d)
	if err != nil {
		return err
	}
	defer f.Close()
	err = s.verify(ctx, d, f, nil, tee)
	if errors.Is(err, oci.ErrCorrupt) {
		s.discard(ctx, d, f)
		return &fault.Error{
			Err:  fmt.Errorf("the store's copy was damaged and has been removed: %w", err),
			Hint: "pull the image again",
		}
	}
	return err
}

// discard removes a damaged blob, unless somebody replaced it meanwhile.
func (s *Store) discard(ctx context.Context, d v1.Descriptor, f *os.File) {
	l, err := s.acquire(ctx, blobLock(d.Digest))
	if err != nil {
		return
	}
	defer l.release()
	if path := s.blobPath(d.Digest); sameFile(f, path) {
		os.Remove(path)
	}
}

// verify copies src to dst and tee (either may be nil), and checks that it is the
// descriptor's blob: exactly as long, with that digest.
func (s *Store) verify(ctx context.Context, d v1.Descriptor, src io.Reader, dst, tee io.Writer) error {
	hash := d.Digest.Algorithm().Hash()
	buf := make([]byte, copySize)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("blob %s: %w", d.Digest, context.Cause(ctx))
		}
		m, rerr := src.Read(buf)
		n += int64(m)
		if n > d.Size {
			return fmt.Errorf("blob %s is longer than the %d bytes expected: %w", d.Digest, d.Size, oci.ErrCorrupt)
		}
		if m > 0 {
			hash.Write(buf[:m])
			if dst != nil {
				if _, err := dst.Write(buf[:m]); err != nil {
					return s.explain(err, "cannot write the blob %s", d.Digest)
				}
			}
			if tee != nil {
				if _, err := tee.Write(buf[:m]); err != nil {
					return fmt.Errorf("hand on the blob %s: %w", d.Digest, err)
				}
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return fmt.Errorf("read the blob %s: %w", d.Digest, rerr)
		}
	}
	if n != d.Size {
		return wrongSize(d, n)
	}
	if got := digest.NewDigest(d.Digest.Algorithm(), hash); got != d.Digest {
		return wrongDigest(d, got)
	}
	return nil
}

// flusher starts the write-back of a long file while it is being written.
type flusher struct {
	file             *os.File
	written, flushed int64
}

func (w *flusher) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.written += int64(n)
	if w.written-w.flushed >= flushEvery {
		// A hint: filesystems without it are merely slower at the end.
		_ = unix.SyncFileRange(int(w.file.Fd()), w.flushed, w.written-w.flushed, unix.SYNC_FILE_RANGE_WRITE)
		w.flushed = w.written
	}
	return n, err
}
