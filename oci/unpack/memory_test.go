package unpack

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// TestMemory: neither many entries with long names nor huge files make the worker grow,
// and zeros take no disk.
func TestMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes more memory than the worker")
	}
	id := identities(t)[0]
	for _, tc := range []struct {
		name  string
		id    identity
		write func(*tar.Writer)
	}{
		{"entries", id.onTmpfs("1g"), func(w *tar.Writer) {
			long := strings.Repeat("n", 240)
			for i := range 30000 {
				dir := fmt.Sprintf("%s/%s/%s/%s", long, long, long, long)
				h := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/%s%d", dir, long, i), ModTime: epoch}
				if i%4 != 0 { // umoci's
					h.Typeflag, h.Linkname = tar.TypeSymlink, "target"
				}
				if err := w.WriteHeader(h); err != nil {
					panic(err)
				}
			}
		}},
		{"zeros", id, func(w *tar.Writer) {
			const size = 256 << 20
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: size, ModTime: epoch}); err != nil {
				panic(err)
			}
			buf := make([]byte, 1<<20)
			for range size / len(buf) {
				w.Write(buf)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The layer is written to a file, and this process kept small: the
			// kernel begins a child's peak with its parent's.
			layer, diffID := stored(t, tc.write)
			debug.FreeOSMemory()
			j := newJail(t, id)
			_, usage, err := j.measure(t, tc.id, layer, Request{DiffID: diffID, Rootless: true})
			if err != nil {
				t.Fatal(err)
			}
			if mb := usage.Maxrss >> 10; mb > 60 {
				t.Errorf("the worker took %d MB", mb)
			}
			if info, err := os.Lstat(filepath.Join(j.dir, "zeros")); err == nil {
				if st := info.Sys().(*syscall.Stat_t); st.Size != 256<<20 || st.Blocks > 1024 {
					t.Errorf("%d bytes of zeros take %d blocks", st.Size, st.Blocks)
				}
			}
		})
	}
}

// stored writes a gzip layer to a file.
func stored(t *testing.T, write func(*tar.Writer)) (*os.File, digest.Digest) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "layer")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	sum := digest.SHA256.Digester()
	w := tar.NewWriter(io.MultiWriter(z, sum.Hash()))
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f, sum.Digest()
}
