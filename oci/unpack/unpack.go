// Package unpack turns the tar stream of a layer into a directory in overlayfs format.
//
//	            ┌ gunzip ┐   ┌─▶ sha256            (is it the diffID?)
//	compressed ─┤ zstd   ├───┤
//	            └ plain  ┘   └─▶ tar ─▶ header checks ─▶ whiteouts (here) ─▶ overlay format
//	                                                   └▶ the rest (umoci's TarExtractor)
//
// The three columns are three goroutines that share a fixed set of buffers, so that
// memory does not grow with the layer and two cores are kept busy.
//
// Layers are hostile until proven otherwise. Main is the body of a worker process: root
// in a user namespace of its own, with the layer's directory as the only thing left in
// its root directory (see confine), so that a mistake in the path handling, here or in
// a library, finds nothing to damage.
//
// What is written is what umoci's OverlayfsRootfs writes and reads: whiteouts are
// character devices 0:0, opaque directories have user.overlay.opaque=y, other
// user.overlay.* attributes are escaped. With a single id, owners that cannot be are
// recorded in user.rootlesscontainers.
//
// What the package refuses to do: to start processes, to make namespaces, to fetch, to
// publish, and to sync: the store does one syncfs for all files.
package unpack

import (
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"rl/oci"
)

// Request says what comes down the stream.
type Request struct {
	// MediaType is the descriptor's; "" when nobody said. Types that are not layers
	// are refused. How a layer is compressed is seen from its bytes.
	MediaType string
	// DiffID is the digest of the uncompressed tar stream, from the image's config.
	DiffID digest.Digest
	// Rootless: the process has a single id. All files are its own, and the owners
	// of the layer are recorded in the attribute user.rootlesscontainers.
	Rootless bool
}

// Result is what was unpacked.
type Result struct {
	DiffID digest.Digest
	Bytes  int64 // of the tar stream
	Files  int64 // entries of the tar stream
	// Notes are sentences about what could not be kept: device nodes, attributes of
	// the host's kernel. A few, however many files they concern.
	Notes []string `json:",omitempty"`
}

// Layer unpacks a layer into the directory dir, which must be empty and which nobody
// else may write to meanwhile. It reads the stream to its end. Bytes that are not what
// the digest or their format says are an oci.ErrCorrupt. After an error the content of
// dir is undefined; nothing outside of it is ever touched.
//
// The caller should be root in a user namespace; the umask should be 022.
func Layer(dir string, compressed io.Reader, req Request) (Result, error) {
	ids, err := readIDMaps()
	if err != nil {
		return Result{}, err
	}
	return unpackLayer(dir, compressed, req, ids)
}

func unpackLayer(dir string, compressed io.Reader, req Request, ids idMaps) (Result, error) {
	if err := req.DiffID.Validate(); err != nil {
		return Result{}, fmt.Errorf("diffID %.100q: %w: %w", string(req.DiffID), err, oci.ErrCorrupt)
	}
	dec, err := decompress(compressed, req.MediaType)
	if err != nil {
		return Result{}, err
	}
	p := startPipeline(dec, req.DiffID.Algorithm())
	defer p.stop() // waits until nobody reads the decoder, and closes it
	x := newExtractor(dir, req, ids)
	x.notes.add(dec.note, "")
	if err := x.extract(p); err != nil {
		return Result{}, err
	}
	got, n, err := p.drain()
	if err != nil {
		return Result{}, err
	}
	if got != req.DiffID {
		return Result{}, fmt.Errorf("layer has the wrong diffID: expected %s, got %s: %w", req.DiffID, got, oci.ErrCorrupt)
	}
	return Result{DiffID: got, Bytes: n, Files: x.files, Notes: x.notes.list()}, nil
}
