package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/userns/sys/fault"
)

func zst(raw []byte, o ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(raw, nil)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestStreams is about the bytes around the archive. Nothing here needs a namespace.
func TestStreams(t *testing.T) {
	content := strings.Repeat("some text that is not zero ", 50000)
	layer := build(file("f", content), file("last", "the end"))
	padded := join(layer, bytes.Repeat([]byte{0}, 100000))
	id := digest.FromBytes(layer)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
	flipped := gz(layer)
	flipped[len(flipped)/2] ^= 0xff
	badSum := gz(layer)
	badSum[len(badSum)-6] ^= 0xff
	for _, tc := range []struct {
		name      string
		stream    []byte
		diffID    digest.Digest
		mediaType string
		err       string // "" means unpacked; all others are corrupt
		note      string
	}{
		{name: "gzip", stream: gz(layer), diffID: id, mediaType: v1.MediaTypeImageLayerGzip},
		{name: "docker gzip", stream: gz(layer), diffID: id, mediaType: oci.DockerLayerGzip},
		{name: "zstd", stream: zst(layer), diffID: id, mediaType: v1.MediaTypeImageLayerZstd},
		{name: "plain", stream: layer, diffID: id, mediaType: v1.MediaTypeImageLayer},
		{name: "no media type", stream: gz(layer), diffID: id},
		{name: "the type says gzip, it is zstd", stream: zst(layer), diffID: id, mediaType: oci.DockerLayerGzip, note: "the media type says gzip, the layer is zstd"},
		{name: "the type says tar, it is gzip", stream: gz(layer), diffID: id, mediaType: oci.DockerLayer, note: "the media type says tar, the layer is gzip"},
		{name: "gzip members", stream: join(gz(layer[:1000]), gz(layer[1000:])), diffID: id},
		{name: "zstd frames", stream: join(zst(layer[:1000]), zst(layer[1000:])), diffID: id},
		{name: "zstd behind a skippable frame", stream: join(skippable, zst(layer)), diffID: id},
		{name: "data after the archive", stream: gz(padded), diffID: digest.FromBytes(padded)},
		{name: "no end of archive", stream: gz(layer[:len(layer)-1024]), diffID: digest.FromBytes(layer[:len(layer)-1024])},

		{name: "wrong diffID", stream: gz(layer), diffID: digest.FromString("x"),
			err: "layer has the wrong diffID: expected " + digest.FromString("x").String() + ", got " + id.String()},
		{name: "data after the archive that the diffID does not know", stream: gz(padded), diffID: id, err: "wrong diffID"},
		{name: "truncated gzip", stream: gz(layer)[:2000], diffID: id, err: "gzip stream ends early"},
		{name: "gzip without its sum", stream: gz(layer)[:len(gz(layer))-4], diffID: id, err: "gzip stream ends early"},
		{name: "gzip header alone", stream: gz(layer)[:5], diffID: id, err: "damaged gzip header"},
		{name: "damaged gzip", stream: flipped, diffID: id, err: "corrupt"},
		{name: "wrong gzip sum", stream: badSum, diffID: id, err: "checksum"},
		{name: "garbage after gzip", stream: join(gz(layer), []byte("garbage after the end")), diffID: id, err: "bytes after its gzip stream"},
		{name: "truncated zstd", stream: zst(layer)[:100], diffID: id, err: "zstd stream ends early"},
		{name: "garbage after zstd", stream: join(zst(layer), []byte("garbage after the end")), diffID: id, err: "decompress the layer"},
		{name: "truncated tar", stream: layer[:5000], diffID: id, err: "truncated"},
		{name: "xz", stream: []byte("\xfd7zXZ\x00\x00"), diffID: id, err: "xz or bzip2"},
		{name: "no diffID", stream: gz(layer), diffID: "sha256:short", err: "diffID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			res, err := Layer(dir, iotest.HalfReader(bytes.NewReader(tc.stream)), Request{MediaType: tc.mediaType, DiffID: tc.diffID, Rootless: true})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !errors.Is(err, oci.ErrCorrupt) {
					t.Fatalf("error: %v\nwant: …%s…, corrupt", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(got) != content {
				t.Errorf("f has %d bytes (%v), want %d", len(got), err, len(content))
			}
			if res.DiffID != tc.diffID || res.Files != 2 || res.Bytes < int64(len(content)) {
				t.Errorf("result: %+v", res)
			}
			if got := strings.Join(res.Notes, "; "); got != tc.note {
				t.Errorf("notes: %q, want %q", got, tc.note)
			}
		})
	}
}

// TestReadError: a stream that could not be read is not a corrupt one.
func TestReadError(t *testing.T) {
	lost := errors.New("connection lost")
	layer := build(file("f", strings.Repeat("text", 500000)))
	for _, stream := range [][]byte{layer, gz(layer), zst(layer)} {
		r := io.MultiReader(bytes.NewReader(stream[:len(stream)/2]), iotest.ErrReader(lost))
		_, err := Layer(t.TempDir(), r, Request{DiffID: digest.FromBytes(layer), Rootless: true})
		if !errors.Is(err, lost) || errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("error: %v", err)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for _, bad := range []string{"application/octet-stream", v1.MediaTypeImageLayerGzip + "+encrypted", v1.MediaTypeImageConfig} {
		_, err := Layer(t.TempDir(), strings.NewReader(""), Request{MediaType: bad, DiffID: digest.FromString(""), Rootless: true})
		var f *fault.Error
		if err == nil || !strings.Contains(err.Error(), bad) || !errors.As(err, &f) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestZstdWindow(t *testing.T) {
	raw := build(file("f", "small, but the frame does not say so"))
	var stream bytes.Buffer
	w, err := zstd.NewWriter(&stream, zstd.WithWindowSize(128<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // more than one block
		w.Write(raw)
		w.Flush()
	}
	w.Close()
	_, err = Layer(t.TempDir(), &stream, Request{DiffID: digest.FromBytes(raw), Rootless: true})
	if err == nil || !strings.Contains(err.Error(), "window is larger than 32 MiB") {
		t.Errorf("error: %v", err)
	}
}

func TestReply(t *testing.T) {
	for _, err := range []error{
		nil,
		errors.New("plain"),
		fmt.Errorf("damaged: %w", oci.ErrCorrupt),
		fault.WithCode(126, "do this", "that: %w", os.ErrInvalid),
		fmt.Errorf("outer: %w", &fault.Error{Err: fmt.Errorf("inner: %w", oci.ErrCorrupt), Hint: "pull again"}),
	} {
		var b bytes.Buffer
		if err := writeReply(&b, Result{Files: 3}, err); err != nil {
			t.Fatal(err)
		}
		res, got := ReadReply(&b)
		if err == nil {
			if got != nil || res.Files != 3 {
				t.Errorf("got %+v, %v", res, got)
			}
			continue
		}
		if got == nil || got.Error() != err.Error() || errors.Is(got, oci.ErrCorrupt) != errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("got %v, want %v", got, err)
		}
		var f, g *fault.Error
		if errors.As(err, &f) != errors.As(got, &g) || f != nil && (f.Hint != g.Hint || f.Code != g.Code) {
			t.Errorf("got %#v, want %#v", g, f)
		}
	}
	if _, err := ReadReply(strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "without a word") {
		t.Errorf("a dead worker: %v", err)
	}
}
