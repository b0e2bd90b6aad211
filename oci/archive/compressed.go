package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"

	"rl/oci"
	"rl/userns/sys/fault"
)

// Magic numbers of what tar files and layers are compressed with.
const (
	magicGzip  = "\x1f\x8b\x08"
	magicZstd  = "\x28\xb5\x2f\xfd"
	magicXz    = "\xfd7zXZ\x00"
	magicBzip2 = "BZh"
)

// start reads a file's first bytes.
func start(at io.ReaderAt) (string, error) {
	var b [6]byte
	n, err := at.ReadAt(b[:], 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(b[:n]), err
}

// decompressed gives f back when it is a plain tar, else a nameless temporary
// file with what is in it; f is closed then. On errors it is closed as well.
func decompressed(f *os.File, size int64, temp string) (*os.File, int64, error) {
	head, err := start(f)
	switch {
	case err != nil:
	case strings.HasPrefix(head, magicGzip):
		plain, n, err := gunzip(f, temp)
		return plain, n, errors.Join(err, f.Close())
	case strings.HasPrefix(head, magicZstd), strings.HasPrefix(head, magicXz), strings.HasPrefix(head, magicBzip2):
		err = fault.New("decompress it first", "the archive is compressed with something else than gzip")
	default:
		return f, size, nil
	}
	return nil, 0, errors.Join(err, f.Close())
}

func gunzip(r io.Reader, temp string) (_ *os.File, _ int64, err error) {
	out, err := os.CreateTemp(temp, "rl-archive-*")
	if err != nil {
		return nil, 0, fmt.Errorf("cannot decompress the archive: %w", err)
	}
	defer func() {
		if err != nil {
			_ = out.Close()
		}
	}()
	if err := os.Remove(out.Name()); err != nil { // it lives as long as it is open
		return nil, 0, err
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: the compressed archive cannot be read: %w", oci.ErrCorrupt, err)
	}
	n, err := io.Copy(out, z)
	if err == nil {
		err = z.Close()
	}
	var disk *os.PathError
	switch {
	case err == nil:
		return out, n, nil
	case errors.As(err, &disk):
		return nil, 0, fmt.Errorf("cannot decompress the archive: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, 0, fmt.Errorf("%w: the compressed archive is truncated", oci.ErrCorrupt)
	}
	return nil, 0, fmt.Errorf("%w: the compressed archive is damaged: %w", oci.ErrCorrupt, err)
}
