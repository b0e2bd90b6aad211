package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func unpack(t testing.TB, s *Store, mapName string, diffID digest.Digest) string {
	t.Helper()
	txn, err := s.BeginLayer(t.Context(), mapName, diffID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(txn.Dir(), "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := txn.Commit(); err != nil {
		t.Fatal(err)
	}
	return txn.Dir()
}

func TestLayer(t *testing.T) {
	s := open(t)
	id := digest.FromString("layer")
	if _, ok := s.Layer("m", id); ok {
		t.Error("a layer in an empty store")
	}
	txn := must(s.BeginLayer(t.Context(), "m", id))
	if txn.Done() || must(os.Stat(txn.Dir())).Mode().Perm() != 0o755 {
		t.Errorf("done %v, mode %v", txn.Done(), must(os.Stat(txn.Dir())).Mode())
	}
	if entries := must(os.ReadDir(filepath.Dir(txn.Dir()))); len(entries) != 1 {
		t.Errorf("the layer's directory has neighbours: %v", entries)
	}
	// The layer's root may belong to nobody who can write it: the rename must not care.
	os.Chmod(txn.Dir(), 0o500)
	if _, ok := s.Layer("m", id); ok {
		t.Error("a layer before its commit")
	}
	if err := txn.Commit(); err != nil {
		t.Fatal(err)
	}
	dir, ok := s.Layer("m", id)
	if !ok || dir != txn.Dir() || dir != s.path("layers", "m", "sha256-"+id.Encoded(), "fs") {
		t.Errorf("%s, %v; %s", dir, ok, txn.Dir())
	}
	if _, ok := s.Layer("other-map", id); ok {
		t.Error("a layer under another mapping")
	}
	if again := must(s.BeginLayer(t.Context(), "m", id)); !again.Done() || again.Dir() != dir || again.Commit() != nil || again.Abort(nil) != nil {
		t.Errorf("again: %+v", again)
	}
	if err := txn.Abort(os.RemoveAll); err != nil {
		t.Error(err)
	}
	if _, ok := s.Layer("m", id); !ok {
		t.Error("Abort after Commit removed the layer")
	}
	empty(t, s)
}

func TestLayerAbort(t *testing.T) {
	s := open(t)
	id := digest.FromString("layer")
	txn := must(s.BeginLayer(t.Context(), "m", id))
	refuse := errors.New("cannot remove")
	if err := txn.Abort(func(string) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("error: %v", err)
	}
	unpack(t, s, "m", id) // the lock is free, and the litter in nobody's way
	must(s.Collect(os.RemoveAll))
	empty(t, s)

	txn = must(s.BeginLayer(t.Context(), "m", digest.FromString("other")))
	os.WriteFile(filepath.Join(filepath.Dir(txn.Dir()), "escaped"), nil, 0o600)
	if err := txn.Commit(); err == nil {
		t.Error("a layer with a file beside it was published")
	}
	if err := txn.Abort(os.RemoveAll); err != nil {
		t.Error(err)
	}
	empty(t, s)
	for _, bad := range []string{"", "..", "a/b", ".hidden"} {
		if _, err := s.BeginLayer(t.Context(), bad, id); err == nil {
			t.Errorf("map name %q was taken", bad)
		}
	}
}

func TestLayerOnce(t *testing.T) {
	s := open(t)
	id := digest.FromString("layer")
	var filled atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			txn := must(must(Open(s.Root())).BeginLayer(t.Context(), "m", id))
			if !txn.Done() {
				filled.Add(1)
				must(0, os.WriteFile(filepath.Join(txn.Dir(), "file"), nil, 0o600))
			}
			must(0, txn.Commit())
			if _, err := os.Stat(filepath.Join(txn.Dir(), "file")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if filled.Load() != 1 {
		t.Errorf("unpacked %d times", filled.Load())
	}
	empty(t, s)
}

func TestCollect(t *testing.T) {
	s := open(t)
	one, two := image(t, s, false, "one", "shared", "only one"), image(t, s, false, "two", "shared", "only two")
	tag(t, s, debian, one)
	tag(t, s, "docker.io/library/two:1", two)
	shared, onlyOne, onlyTwo := digest.FromString("shared"), digest.FromString("only one"), digest.FromString("only two")
	for _, d := range []digest.Digest{shared, onlyOne, onlyTwo} {
		unpack(t, s, "m", d)
		unpack(t, s, "n", d)
	}
	if freed := must(s.Collect(os.RemoveAll)); freed != 0 {
		t.Errorf("freed %d bytes of images with names", freed)
	}
	id := must(s.Image("docker.io/library/two:1")).Manifest.Config
	if err := s.Untag("docker.io/library/two:1"); err != nil {
		t.Fatal(err)
	}

	// A pull that is under way protects what it needs.
	release := must(s.Protect(two.Digest, id.Digest, onlyTwo))
	if freed := must(s.Collect(os.RemoveAll)); freed != 0 {
		t.Errorf("freed %d protected bytes", freed)
	}
	release()

	// A container still uses one of the two unpacked layers.
	used := s.path("layers", "n", dashed(onlyTwo), "fs")
	freed := must(s.Collect(os.RemoveAll, func(dir string) bool { return dir == used }))
	if want := two.Size + id.Size + int64(len("only two")+len("content")); freed != want {
		t.Errorf("freed %d bytes, want %d", freed, want)
	}
	if _, ok := s.Layer("n", onlyTwo); !ok {
		t.Error("a layer in use was removed")
	}
	if _, ok := s.Layer("m", onlyTwo); ok || s.HasBlob(onlyTwo) || s.HasBlob(two.Digest) {
		t.Error("garbage was left")
	}
	for _, d := range []digest.Digest{shared, onlyOne} {
		if _, ok := s.Layer("m", d); !ok || !s.HasBlob(d) {
			t.Errorf("%s was removed", d)
		}
	}
	if _, err := s.Image(debian); err != nil {
		t.Error(err)
	}
	empty(t, s)
}

// TestCollectSparesLocked: a digest whose lock is held is being fetched or read.
func TestCollectSparesLocked(t *testing.T) {
	s := open(t)
	raw := []byte("unreferenced")
	d := blob(raw, v1.MediaTypeImageLayer)
	if err := s.PutBlob(d, raw); err != nil {
		t.Fatal(err)
	}
	l := must(s.tryAcquire(blobLock(d.Digest)))
	if freed := must(s.Collect(os.RemoveAll)); freed != 0 || !s.HasBlob(d.Digest) {
		t.Errorf("freed %d bytes under a lock", freed)
	}
	l.release()
	if freed := must(s.Collect(os.RemoveAll)); freed != d.Size {
		t.Errorf("freed %d bytes, want %d", freed, d.Size)
	}
}

// TestCollectIsResumed: a deletion that fails, or is killed, is taken up by the next.
func TestCollectIsResumed(t *testing.T) {
	s := open(t)
	unpack(t, s, "m", digest.FromString("garbage"))
	refuse := errors.New("no user namespace")
	if _, err := s.Collect(func(string) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("error: %v", err)
	}
	if freed := must(s.Collect(os.RemoveAll)); freed != int64(len("content")) {
		t.Errorf("freed %d bytes", freed)
	}
	empty(t, s)
}

// BenchmarkImage is the hot path of every rl run.
func BenchmarkImage(b *testing.B) {
	s := open(b)
	tag(b, s, debian, image(b, s, false, "bash", "layer"))
	for b.Loop() {
		if _, err := must(Open(s.Root())).Image(debian); err != nil {
			b.Fatal(err)
		}
	}
}
