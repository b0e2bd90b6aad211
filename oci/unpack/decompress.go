package unpack

//lint:file-ignore SA1019 deprecated media types, which images still have

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

// maxWindow bounds the memory a zstd stream may ask for. The default levels of all
// tools need 8 MiB; "zstd --long=27" would need 128.
const maxWindow = 32 << 20

// decoder is the tar stream of a layer.
type decoder struct {
	io.Reader
	source *source
	format string
	note   string // about a media type that says something else than the bytes
	close  func()
}

// decompress looks at the first bytes of a layer and opens the matching decoder. The
// bytes decide, as with docker and containerd, for images are around whose media types
// lie; a type that is no layer's is refused.
func decompress(r io.Reader, mediaType string) (*decoder, error) {
	declared, err := compression(mediaType)
	if err != nil {
		return nil, err
	}
	d := &decoder{source: &source{r: r}, close: func() {}}
	in := bufio.NewReaderSize(d.source, chunkSize)
	magic, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, d.explain(err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		d.format = "gzip"
		z, err := gzip.NewReader(in) // reads concatenated members, as gunzip does
		if err != nil {
			return nil, fmt.Errorf("layer begins with a damaged gzip header: %w: %w", err, oci.ErrCorrupt)
		}
		d.Reader = z
	case isZstd(magic):
		d.format = "zstd"
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, d.explain(err)
		}
		d.Reader, d.close = z, z.Close
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ")), bytes.HasPrefix(magic, []byte("BZh")):
		return nil, fmt.Errorf("layer is compressed with xz or bzip2, which image layers cannot be: %w", oci.ErrCorrupt)
	default:
		d.format, d.Reader = "tar", in
	}
	if declared != "" && declared != d.format {
		d.note = fmt.Sprintf("the media type says %s, the layer is %s", declared, d.format)
	}
	return d, nil
}

// isZstd knows zstd frames, and the skippable ones that may come first (eStargz and
// zstd:chunked put their tables there).
func isZstd(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(b) >= 4 && b[0]&0xf0 == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18
}

// compression is what a layer's media type promises: gzip, zstd, tar, or "" for nothing.
func compression(mediaType string) (string, error) {
	switch mediaType {
	case "":
		return "", nil
	case v1.MediaTypeImageLayer, oci.DockerLayer, v1.MediaTypeImageLayerNonDistributable:
		return "tar", nil
	case v1.MediaTypeImageLayerGzip, oci.DockerLayerGzip, oci.DockerForeignLayer, v1.MediaTypeImageLayerNonDistributableGzip:
		return "gzip", nil
	case v1.MediaTypeImageLayerZstd, oci.DockerLayerZstd, v1.MediaTypeImageLayerNonDistributableZstd:
		return "zstd", nil
	}
	return "", fault.New("is this an image for containers? rl reads tar layers, plain or compressed with gzip or zstd",
		"layer has the media type %q, which is not a layer's", mediaType)
}

func (d *decoder) Close() { d.close() }

// explain tells a stream that could not be read from one that is damaged.
func (d *decoder) explain(err error) error {
	switch {
	case d.source.failed():
		return fmt.Errorf("read the layer: %w", d.source.err)
	case err == io.EOF:
		return nil
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("the layer's zstd window is larger than %d MiB, the most rl gives it: %w", maxWindow>>20, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("layer is truncated: its %s stream ends early: %w", d.format, oci.ErrCorrupt)
	case errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("layer has bytes after its gzip stream that are not gzip: %w", oci.ErrCorrupt)
	}
	return fmt.Errorf("decompress the layer: %w: %w", err, oci.ErrCorrupt)
}

// source remembers the error of the compressed stream itself, which decoders disguise.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// failed tells that the stream could not be read to its end.
func (s *source) failed() bool { return s.err != nil && s.err != io.EOF }
