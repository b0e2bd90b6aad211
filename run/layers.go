package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/oci/unpack"
	"rl/userns"
)

type opener func(context.Context, v1.Descriptor) (io.ReadCloser, error)

const defaultJobs = 3

// layers brings every layer of an image to disk under an identity: fetched when
// the store lacks the blob, unpacked when it lacks the directory.
func (e *Engine) layers(ctx context.Context, id *Identity, img *oci.Image, fetch opener, progress Progress) error {
	if progress == nil {
		progress = silent{}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := e.Jobs
	if jobs <= 0 {
		jobs = defaultJobs
	}
	slots := make(chan struct{}, jobs)
	var wg sync.WaitGroup
	seen := map[digest.Digest]bool{}
	for i, d := range img.Manifest.Layers {
		diffID := img.Config.RootFS.DiffIDs[i]
		if seen[diffID] { // the empty layer that old builders repeat
			continue
		}
		seen[diffID] = true
		bar := progress.Layer(d.Digest, d.Size)
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			hit, err := e.layer(ctx, id, d, diffID, fetch, bar)
			bar.Done(hit, err)
			if err != nil {
				cancel(fmt.Errorf("layer %.19s: %w", d.Digest, err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// layer brings one layer to disk. The bytes go to the blob file, to the digest
// and to the unpacker at the same time, as they arrive.
func (e *Engine) layer(ctx context.Context, id *Identity, d v1.Descriptor, diffID digest.Digest, fetch opener, bar LayerProgress) (hit bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	open := func(ctx context.Context) (io.ReadCloser, error) { return fetch(ctx, d) }
	txn, err := e.Store.BeginLayer(ctx, id.Map.Name(), diffID)
	if err != nil {
		return false, err
	}
	if txn.Done() {
		if e.Store.HasBlob(d.Digest) || fetch == nil {
			return true, nil
		}
		return false, e.Store.Fetch(ctx, d, open, meter{io.Discard, bar}) // unpacked from another compression of the same layer
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, txn.Abort(func(path string) error { return e.abandon(id, path) }))
		}
	}()
	w, err := startUnpack(id, txn.Dir(), unpack.Request{MediaType: d.MediaType, DiffID: diffID, Rootless: id.Single})
	if err != nil {
		return false, err
	}
	ferr := e.Store.Fetch(ctx, d, open, meter{w, bar})
	bar.Unpacking()
	if ferr != nil {
		w.kill()
		return false, ferr
	}
	if err := w.finish(e.Settings.Notice); err != nil {
		return false, err
	}
	return false, txn.Commit()
}

func (e *Engine) abandon(id *Identity, path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	return id.remove(path)
}

// meter counts what passes.
type meter struct {
	io.Writer
	bar LayerProgress
}

func (m meter) Write(p []byte) (int, error) {
	m.bar.Add(len(p))
	return m.Writer.Write(p)
}

// worker is the process that unpacks one layer.
type worker struct {
	child  *userns.Child
	stream *os.File // the compressed bytes go in here
	reply  *os.File
	broken bool
}

func startUnpack(id *Identity, dir string, req unpack.Request) (*worker, error) {
	in, stream, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	reply, out, err := os.Pipe()
	if err != nil {
		stream.Close()
		return nil, err
	}
	defer out.Close()
	unix.FcntlInt(stream.Fd(), unix.F_SETPIPE_SZ, 1<<20) // fewer switches; the limit of pipe-max-size may refuse
	w := &worker{stream: stream, reply: reply}
	w.child, err = id.start(userns.Config{Stage: StageUnpack, Stdio: [3]*os.File{0: in}, Files: []*os.File{out}, Dir: dir})
	if err == nil {
		err = w.child.Release()
	}
	if err == nil {
		var line []byte
		if line, err = json.Marshal(req); err == nil {
			err = w.child.Socket.Send(append(line, '\n'))
		}
	}
	if err != nil {
		stream.Close()
		reply.Close()
		return nil, fmt.Errorf("start the unpacker: %w", err)
	}
	return w, nil
}

// Write hands bytes to the unpacker. When that has given up already the bytes
// are dropped: the download goes on to find out whether the blob is what it
// should be, which would be the better reason.
func (w *worker) Write(p []byte) (int, error) {
	if w.broken {
		return len(p), nil
	}
	n, err := w.stream.Write(p)
	if errors.Is(err, unix.EPIPE) {
		w.broken = true
		return len(p), nil
	}
	return n, err
}

// finish waits until the layer is unpacked and verified.
func (w *worker) finish(notice func(string)) error {
	w.stream.Close()
	res, err := unpack.ReadReply(w.reply)
	w.reply.Close()
	status, werr := w.child.Wait()
	w.child.Socket.Close()
	switch {
	case err != nil && status.Signaled():
		return fmt.Errorf("the unpacker was killed by signal %d (out of memory?)", status.Signal())
	case err != nil:
		return err
	case werr != nil:
		return werr
	}
	for _, n := range res.Notes {
		notice(n)
	}
	return nil
}

func (w *worker) kill() {
	w.stream.Close()
	w.reply.Close()
	w.child.Kill()
}
