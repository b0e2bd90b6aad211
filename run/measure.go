package run

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"rl/run/rootfs"
	"rl/userns"
)

// StageMeasure adds up the bytes of trees, in a user namespace that may look at all of them.
const StageMeasure = "measure"

// MeasureMain is the stage that measures the trees named in its arguments, and writes their
// sizes as JSON to its standard output; -1 is a tree that it could not look at.
func MeasureMain() int {
	if _, err := userns.Join(); err != nil {
		return fail(err)
	}
	sizes := []int64{}
	for _, path := range os.Args[2:] {
		n, err := rootfs.Size(path)
		if err != nil {
			n = -1
		}
		sizes = append(sizes, n)
	}
	if err := json.NewEncoder(os.NewFile(1, "answer")).Encode(sizes); err != nil {
		return fail(err)
	}
	return 0
}

// sizes is how many bytes files, and the files below directories, have. Those with files of subordinate
// ids that the caller may not look at are measured by a process that may; what even
// that one cannot see is missing.
func (e *Engine) sizes(paths []string) map[string]int64 {
	all := map[string]int64{}
	var closed []string
	for _, path := range paths {
		if n, err := measured(path, rootfs.Size); err == nil {
			all[path] = n
		} else if !errors.Is(err, os.ErrNotExist) {
			closed = append(closed, path)
		}
	}
	const most = 100 // arguments at a time
	for len(closed) > 0 {
		some := closed[:min(most, len(closed))]
		closed = closed[len(some):]
		list, err := e.sizesInside(some)
		if err != nil {
			break
		}
		for i, n := range list {
			if n >= 0 && i < len(some) {
				all[some[i]] = n
			}
		}
	}
	return all
}

func (e *Engine) sizesInside(paths []string) (sizes []int64, err error) {
	id, err := e.Identity()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	child, err := id.start(userns.Config{Stage: StageMeasure, Args: paths, Stdio: [3]*os.File{1: w}})
	w.Close()
	if err != nil {
		return nil, err
	}
	if err := child.Release(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	_, werr := child.Wait()
	child.Socket.Close()
	if err := errors.Join(err, werr); err != nil {
		return nil, err
	}
	return sizes, json.Unmarshal(data, &sizes)
}

// VolumeSizes is how many bytes are in volumes, by their names; what cannot be looked at is
// missing.
func (e *Engine) VolumeSizes(names []string) map[string]int64 {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = e.Volumes().Data(name)
	}
	sizes, all := e.sizes(paths), map[string]int64{}
	for i, name := range names {
		if n, ok := sizes[paths[i]]; ok {
			all[name] = n
		}
	}
	return all
}
