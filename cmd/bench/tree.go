package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// The steps of the file system rows, in their order, each timed by itself inside
// the container, so that no start is in them.
const (
	stepCold   = "find, cold"
	stepWarm   = "find, warm"
	stepGrep   = "grep -r /usr"
	stepUntar  = "untar of 40 MB, 10,000 files"
	stepRemove = "rm -r of those"
	stepCreate = "2,000 small files"
	stepWrite  = "write of 512 MB"
	stepRead   = "read of 512 MB"
	stepRandom = "random reads of 4 KiB, 4 threads"
	stepNumpy  = "`import numpy` in python3"
	stepStart  = "start of `true`" // measured from outside
)

var treeSteps = []string{stepCold, stepWarm, stepGrep, stepUntar, stepRemove, stepCreate, stepWrite, stepRead, stepRandom, stepNumpy, stepStart}

// A treeResult is what the helper prints, as JSON.
type treeResult struct {
	Files   int                // that find sees
	Seconds map[string]float64 // by step
}

const (
	bigBlock   = 1 << 20
	bigBlocks  = 512
	smallFiles = 10_000
	smallSize  = 4 << 10
	creates    = 2000
	readers    = 4
	reads      = 10_000 // of each
)

// treeLoad does all steps in a directory that it makes and removes.
func treeLoad(dir string) (r treeResult, err error) {
	r.Seconds = map[string]float64{}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	big, packed, small := filepath.Join(dir, "big"), filepath.Join(dir, "small.tar"), filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		return r, err
	}
	find := func() error {
		var n lineCounter
		cmd := exec.Command("find", "/", "-xdev", "-size", "-1000000000") // a test that wants stat
		cmd.Stdout = &n
		err := cmd.Run()
		r.Files = int(n)
		return err
	}
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{stepCold, find},
		{stepWarm, find},
		{stepGrep, func() error {
			err := exec.Command("grep", "-r", "a word that no file has", "/usr").Run()
			var status *exec.ExitError
			if errors.As(err, &status) { // nothing found, or a file that cannot be read
				return nil
			}
			return err
		}},
		{"", func() error { return writeSmallTar(packed) }},
		{stepUntar, func() error { return exec.Command("tar", "-C", small, "-xf", packed).Run() }},
		{stepRemove, func() error { return exec.Command("rm", "-r", small).Run() }},
		{stepCreate, func() error {
			for i := range creates {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("new", i)), []byte("small\n"), 0o644); err != nil {
					return err
				}
			}
			return nil
		}},
		{stepWrite, func() error { return writeBig(big) }},
		{stepRead, func() error { return readBig(big) }},
		{stepRandom, func() error { return readRandom(big) }},
		{stepNumpy, func() error { return exec.Command("python3", "-c", "import numpy").Run() }},
	} {
		if s.name == stepNumpy && exec.Command("python3", "-c", "import numpy").Run() != nil {
			continue // the tree has none; where it has, this was the first time
		}
		start := time.Now()
		if err := s.do(); err != nil {
			return r, fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name != "" {
			r.Seconds[s.name] = time.Since(start).Seconds()
		}
	}
	return r, nil
}

type lineCounter int

func (n *lineCounter) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' {
			*n++
		}
	}
	return len(b), nil
}

func writeSmallTar(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	content := make([]byte, smallSize)
	for i := range smallFiles {
		h := tar.Header{Name: fmt.Sprintf("d%02d/f%d", i%100, i), Mode: 0o644, Size: smallSize}
		if err := w.WriteHeader(&h); err != nil {
			return errors.Join(err, f.Close())
		}
		if _, err := w.Write(content); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Close(), f.Close())
}

func writeBig(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	b := make([]byte, bigBlock)
	for range bigBlocks {
		if _, err := f.Write(b); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

func readBig(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, bigBlock)
	for {
		if _, err := f.Read(b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func readRandom(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			b := make([]byte, 4<<10)
			order := rand.New(rand.NewPCG(1, uint64(i))) // the same for all contenders
			for range reads {
				at := order.Int64N(bigBlocks * bigBlock / int64(len(b)))
				if _, err := f.ReadAt(b, at*int64(len(b))); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
