package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

// Protect keeps Collect from removing the given blobs and layers (by diffID) until
// release is called or the process ends. A pull protects what its manifest names
// before it looks what is there: between the last Fetch and Tag nothing else would.
func (s *Store) Protect(digests ...digest.Digest) (release func(), err error) {
	raw, err := json.Marshal(digests)
	if err != nil {
		return nil, err
	}
	var lease *claim
	// Under the index lock, so that a Collect has either seen the lease or is over.
	err = s.withIndexLock(func() error {
		lease, err = s.newFile("lease")
		if err != nil {
			return err
		}
		if _, err := lease.Write(raw); err != nil {
			lease.drop()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, s.explain(err, "cannot write to the image store")
	}
	return lease.drop, nil
}

// Collect removes the blobs and layers that no entry of the index refers to, and what
// interrupted commands left in tmp/. It spares what a living process is fetching or
// unpacking (its lock is held), what is protected, and layer directories that inUse
// claims (containers of images that are gone). remove deletes a tree that may hold files
// of subordinate ids. freed counts the bytes of what could be looked at.
//
// Garbage is only renamed into tmp/ while the index is locked, where it is litter like
// any other: the deletion, which may take long, hinders nobody, and when it is killed the
// next one finishes it. No space is needed, so that a full disk can be emptied.
func (s *Store) Collect(remove func(path string) error, inUse ...func(layerDir string) bool) (freed int64, err error) {
	err = s.withIndexLock(func() error {
		live, err := s.live()
		if err != nil {
			return err
		}
		return errors.Join(s.trashBlobs(live), s.trashLayers(live, inUse))
	})
	s.sweepLocks()
	freed, serr := s.sweep(remove)
	if err = errors.Join(err, serr); err != nil {
		return freed, s.explain(err, "cannot clean the image store")
	}
	return freed, nil
}

// sweepLocks removes the lock files of killed processes; they hinder nobody.
func (s *Store) sweepLocks() {
	entries, _ := os.ReadDir(s.path("locks"))
	for _, e := range entries {
		if l, err := s.tryAcquire(e.Name()); err == nil {
			l.release()
		}
	}
}

// live is the set of digests in use: manifests, configs, layers and diffIDs.
func (s *Store) live() (map[digest.Digest]bool, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	live := map[digest.Digest]bool{}
	for _, d := range index.Manifests {
		live[d.Digest] = true
		// A damaged image keeps what can still be read of it alive, and must not
		// stand in the way of freeing space: load returns as far as it came.
		img, err := s.load(d)
		if err != nil && !errors.Is(err, oci.ErrCorrupt) {
			return nil, err
		}
		live[img.Manifest.Config.Digest] = true
		for _, l := range img.Manifest.Layers {
			live[l.Digest] = true
		}
		for _, diffID := range img.Config.RootFS.DiffIDs {
			live[diffID] = true
		}
	}
	return live, s.addLeases(live)
}

func (s *Store) addLeases(live map[digest.Digest]bool) error {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !isTmp(e.Name(), "lease") {
			continue
		}
		path := s.path("tmp", e.Name())
		if f, dead := adopt(path); dead {
			f.Close() // the sweep removes it
			continue
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just released
		}
		if err != nil {
			return err
		}
		var digests []digest.Digest
		if err := json.Unmarshal(raw, &digests); err != nil {
			return fmt.Errorf("read the lease %s: %w", path, err)
		}
		for _, d := range digests {
			live[d] = true
		}
	}
	return nil
}

// trashBlobs moves the blobs that are not live into tmp/.
func (s *Store) trashBlobs(live map[digest.Digest]bool) error {
	return s.eachPair("oci", v1.ImageBlobsDir, func(algorithm, hex string) error {
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
		if live[d] || d.Validate() != nil {
			return nil
		}
		return s.trash(blobLock(d), s.blobPath(d))
	})
}

// trashLayers moves the layers that are not live into tmp/.
func (s *Store) trashLayers(live map[digest.Digest]bool, inUse []func(string) bool) error {
	return s.eachPair("", "layers", func(mapName, name string) error {
		algorithm, hex, _ := strings.Cut(name, "-")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
		if live[d] || checkLayer(mapName, d) != nil {
			return nil
		}
		path := s.layerPath(mapName, d)
		for _, used := range inUse {
			if used != nil && used(path+"/fs") {
				return nil
			}
		}
		return s.trash(layerLock(mapName, d), path)
	})
}

// trash renames under the digest's lock; when somebody holds that, it is needed.
func (s *Store) trash(lockName, path string) error {
	l, err := s.tryAcquire(lockName)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.release()
	// The time tells it from what an earlier Collect could not delete.
	return os.Rename(path, s.path("tmp", fmt.Sprintf("trash-%s-%d", lockName, time.Now().UnixNano())))
}

// eachPair calls fn for every A/B below the directory.
func (s *Store) eachPair(parent, name string, fn func(a, b string) error) error {
	outer, err := os.ReadDir(s.path(parent, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, a := range outer {
		if !a.IsDir() {
			continue
		}
		inner, err := os.ReadDir(s.path(parent, name, a.Name()))
		if err != nil {
			return err
		}
		for _, b := range inner {
			if err := fn(a.Name(), b.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
