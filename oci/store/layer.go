package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"rl/oci"
)

// Layer is the directory of an unpacked layer, written under the id mapping mapName;
// ok is whether it is there. What is there is whole: it was published by a rename.
func (s *Store) Layer(mapName string, diffID digest.Digest) (dir string, ok bool) {
	if checkLayer(mapName, diffID) != nil {
		return "", false
	}
	dir = filepath.Join(s.layerPath(mapName, diffID), "fs")
	_, err := os.Lstat(dir)
	return dir, err == nil
}

// Maps are the names of the id mappings that layers were unpacked under.
func (s *Store) Maps() []string {
	entries, _ := os.ReadDir(s.path("layers"))
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// LayerTxn is a layer being unpacked: fill Dir, then Commit or Abort.
//
// Dir is "fs" in a directory of its own, and that whole directory is renamed into
// place: "fs" may by then belong to a subordinate id, and renaming a directory to a
// new parent needs the right to write to it.
type LayerTxn struct {
	store *Store
	lock  *lock  // of (map, diffID); nil when done
	tmp   *claim // the directory around fs
	dest  string
	done  bool
}

// BeginLayer starts to unpack a layer. It waits while another does, in this process
// or in another, and then Done is true.
func (s *Store) BeginLayer(ctx context.Context, mapName string, diffID digest.Digest) (*LayerTxn, error) {
	if err := checkLayer(mapName, diffID); err != nil {
		return nil, err
	}
	t := &LayerTxn{store: s, dest: s.layerPath(mapName, diffID)}
	if _, t.done = s.Layer(mapName, diffID); t.done {
		return t, nil
	}
	l, err := s.acquire(ctx, layerLock(mapName, diffID))
	if err != nil {
		return nil, err
	}
	if _, t.done = s.Layer(mapName, diffID); t.done {
		l.release()
		return t, nil
	}
	t.lock = l
	if t.tmp, err = s.newDir("layer"); err == nil {
		// The layer's own entry for its root may change the mode later.
		err = mkdirMode(t.Dir(), 0o755)
	}
	if err != nil {
		return nil, errors.Join(s.explain(err, "cannot prepare the layer %s", diffID), t.Abort(os.RemoveAll))
	}
	return t, nil
}

// Done tells that the layer is published already: there is nothing to fill.
func (t *LayerTxn) Done() bool { return t.done }

// Dir is the directory to fill, alone in its parent; the published one when Done.
func (t *LayerTxn) Dir() string {
	if t.done {
		return filepath.Join(t.dest, "fs")
	}
	return filepath.Join(t.tmp.Name(), "fs")
}

// Commit writes the layer to the disk and publishes it. One syncfs does for all its
// files. On error the transaction is still open: call Abort.
func (t *LayerTxn) Commit() error {
	if t.done {
		return nil
	}
	if t.tmp == nil {
		return errors.New("commit of a layer that was aborted")
	}
	if err := t.publish(); err != nil {
		return t.store.explain(err, "cannot publish the layer %s", filepath.Base(t.dest))
	}
	t.done = true
	t.close()
	return nil
}

func (t *LayerTxn) publish() error {
	if names, err := t.tmp.Readdirnames(-1); err != nil {
		return err
	} else if len(names) != 1 || names[0] != "fs" {
		return fmt.Errorf("files beside the layer's directory: %q", names)
	}
	if err := syncfs(t.tmp.File); err != nil {
		return err
	}
	parent := filepath.Dir(t.dest)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	if err := os.Rename(t.tmp.Name(), t.dest); err != nil {
		return err
	}
	return syncDir(parent)
}

// Abort gives up and deletes what was unpacked. remove deletes a tree that may hold
// files of subordinate ids; if it fails, the next Collect tries again. Abort after
// Commit does nothing, so it can be deferred.
func (t *LayerTxn) Abort(remove func(path string) error) error {
	if t.done || t.lock == nil {
		return nil
	}
	defer t.close()
	if t.tmp == nil {
		return nil
	}
	if err := remove(t.tmp.Name()); err != nil {
		return fmt.Errorf("remove the unfinished layer in %s: %w", t.tmp.Name(), err)
	}
	return nil
}

func (t *LayerTxn) close() {
	if t.tmp != nil {
		t.tmp.Close()
		t.tmp = nil
	}
	if t.lock != nil {
		t.lock.release()
		t.lock = nil
	}
}

func (s *Store) layerPath(mapName string, diffID digest.Digest) string {
	return s.path("layers", mapName, dashed(diffID))
}

func layerLock(mapName string, diffID digest.Digest) string {
	return "layer-" + mapName + "-" + dashed(diffID)
}

func checkLayer(mapName string, diffID digest.Digest) error {
	if mapName == "" || len(mapName) > 100 || strings.HasPrefix(mapName, ".") || strings.Contains(mapName, "/") {
		return fmt.Errorf("id mapping name %q cannot be a directory", mapName)
	}
	if err := diffID.Validate(); err != nil {
		return fmt.Errorf("diffID %.100q: %w: %w", string(diffID), err, oci.ErrCorrupt)
	}
	return nil
}

// mkdirMode makes a directory of exactly this mode, whatever the umask.
func mkdirMode(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func syncfs(f *os.File) error {
	for {
		if err := unix.Syncfs(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("syncfs", err)
		}
	}
}
