package run

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/carry"
	"rl/run/rootfs"
	"rl/userns/sys/fault"
)

// Copy is what `rl cp` copies between a container and the host.
type Copy struct {
	Container string
	Inside    string // path in the container
	Outside   string // path on the host
	Follow    bool   // a link that is the source
	Owners    bool   // keep them
}

// CopyOut copies from a container to the host, and gives how many bytes that were.
func (e *Engine) CopyOut(c Copy) (n int64, err error) {
	rec, err := e.State.Find(c.Container)
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	box, err := e.carrier(rec, &carry.Request{Op: carry.Out, Path: c.Inside, Follow: c.Follow}, nil, w)
	w.Close()
	if err != nil {
		return 0, err
	}
	defer box.close()
	defer r.Close() // first: it may be writing
	u, err := box.destination(c)
	if err != nil {
		return 0, err
	}
	defer u.Top.Close()
	if err := box.talk.Send([]byte(string(carry.MsgGo) + carry.Entry)); err != nil {
		return 0, err
	}
	count := &counter{Reader: r}
	err = u.Unpack(count)
	r.Close()
	_, herr := box.hear(carry.MsgDone)
	if err == nil || herr != nil && errors.Is(err, io.ErrUnexpectedEOF) { // the stream's end was not ours
		err = herr
	}
	return count.n, err
}

// destination decides, by what there is on both sides, where a copy goes.
func (c *carriage) destination(what Copy) (*carry.Unpacker, error) {
	data, err := c.hear(carry.MsgInfo)
	if err != nil {
		return nil, err
	}
	var info carry.Info
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, err
	}
	if err := copyable(what.Inside, info.Mode); err != nil {
		return nil, err
	}
	_, _, contents := carry.Named(what.Inside)
	d, err := hostDestination(what.Outside)
	if err != nil {
		return nil, err
	}
	to, err := carry.Decide(carry.Source{Name: info.Name, Dir: info.Mode.IsDir(), Contents: contents}, d)
	if err != nil {
		return nil, err
	}
	u := &carry.Unpacker{Name: to.Name, Owners: what.Owners, Note: c.engine.Notice}
	if u.Top, err = os.OpenRoot(to.Dir); err != nil {
		return nil, fault.New("make it first", "open the directory %s: %w", carry.Quote(to.Dir), errno(err))
	}
	return u, nil
}

// copyable refuses what has no content of its own.
func copyable(name string, mode fs.FileMode) error {
	what := ""
	switch {
	case mode&fs.ModeDevice != 0:
		what = "a device"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	default:
		return nil
	}
	return fault.New("", "cannot copy %s: it is %s", carry.Quote(name), what)
}

// hostDestination looks at a path of the host's, whose links are followed, also one
// that leads to nothing yet.
func hostDestination(name string) (d carry.Destination, err error) {
	if name == "" {
		return d, fault.New("`.` is the current directory", "the destination has no name")
	}
	_, d.Slash, _ = carry.Named(name)
	if d.Path, err = filepath.Abs(name); err != nil {
		return d, err
	}
	for range 40 {
		info, err := os.Stat(d.Path)
		if err == nil {
			d.Exists, d.Mode = true, info.Mode()
			d.Path, err = filepath.EvalSymlinks(d.Path)
			return d, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
		to, err := os.Readlink(d.Path)
		if err != nil { // no link: nothing
			return d, nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(d.Path), to)
		}
		d.Path = to
	}
	return d, fmt.Errorf("%s: %w", carry.Quote(name), unix.ELOOP)
}

// CopyIn copies from the host to a container, and gives how many bytes that were.
func (e *Engine) CopyIn(c Copy) (n int64, err error) {
	rec, err := e.State.Find(c.Container)
	if err != nil {
		return 0, err
	}
	dir, name, source, err := hostSource(c)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20) // fewer switches; the limit of pipe-max-size may refuse
	box, err := e.carrier(rec, &carry.Request{Op: carry.In, Path: c.Inside, Source: source, Owners: c.Owners}, r, nil)
	r.Close()
	if err != nil {
		return 0, err
	}
	defer box.close()
	defer w.Close()
	if _, err := box.hear(carry.MsgInfo); err != nil {
		return 0, err
	}
	count := &counter{Writer: w}
	p := carry.Packer{W: tar.NewWriter(count), Precise: true, Note: e.Notice}
	if err = p.Tree(dir, name, carry.Entry); err == nil {
		err = p.W.Close()
	}
	w.Close()
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return count.n, err
	}
	_, err = box.hear(carry.MsgDone)
	return count.n, err
}

// hostSource opens what is to be copied: a directory itself, of a file the directory
// that it is in. From then on no link is followed.
func hostSource(c Copy) (dir *os.Root, name string, s carry.Source, err error) {
	if c.Outside == "" {
		return nil, "", s, fault.New("", "the source has no name")
	}
	_, slash, contents := carry.Named(c.Outside)
	full, err := filepath.Abs(c.Outside)
	if err != nil {
		return nil, "", s, err
	}
	s.Name = filepath.Base(full)
	look := os.Lstat
	if slash || c.Follow {
		look = os.Stat
	}
	info, err := look(full)
	if err != nil {
		return nil, "", s, fmt.Errorf("%s: %w", carry.Quote(c.Outside), errno(err))
	}
	if err := copyable(c.Outside, info.Mode()); err != nil {
		return nil, "", s, err
	}
	if slash && !info.IsDir() {
		return nil, "", s, fmt.Errorf("%s: %w", carry.Quote(c.Outside), unix.ENOTDIR)
	}
	if slash || c.Follow {
		if full, err = filepath.EvalSymlinks(full); err != nil {
			return nil, "", s, err
		}
	}
	s.Dir, s.Contents, name = info.IsDir(), contents, "."
	if !s.Dir {
		full, name = filepath.Dir(full), filepath.Base(full)
	}
	dir, err = os.OpenRoot(full)
	return dir, name, s, err
}

// CopyOutTar writes what a path of the container leads to as a tar stream, docker's
// way: called by its last element, or . for the content of a directory.
func (e *Engine) CopyOutTar(c Copy, out *os.File) error {
	return e.tarOut(c.Container, &carry.Request{Op: carry.Out, Path: c.Inside, Follow: c.Follow, Source: carry.Source{Stream: true}}, out)
}

// Export writes a container's root file system as a tar stream, without what is
// mounted in it.
func (e *Engine) Export(container string, out *os.File) error {
	return e.tarOut(container, &carry.Request{Op: carry.Export}, out)
}

func (e *Engine) tarOut(container string, req *carry.Request, out *os.File) error {
	rec, err := e.State.Find(container)
	if err != nil {
		return err
	}
	box, err := e.carrier(rec, req, nil, out)
	if err != nil {
		return err
	}
	defer box.close()
	if _, err := box.hear(carry.MsgInfo); err != nil {
		return err
	}
	as := ""
	if name, _, contents := carry.Named(req.Path); req.Op == carry.Out && !contents {
		as = name
	} else if req.Op == carry.Out {
		as = "."
	}
	if err := box.talk.Send(append([]byte{carry.MsgGo}, as...)); err != nil {
		return err
	}
	_, err = box.hear(carry.MsgDone)
	return err
}

// CopyInTar unpacks a tar stream in a directory of the container. The owners are
// those of the stream.
func (e *Engine) CopyInTar(c Copy, in *os.File) error {
	rec, err := e.State.Find(c.Container)
	if err != nil {
		return err
	}
	box, err := e.carrier(rec, &carry.Request{Op: carry.In, Path: c.Inside, Source: carry.Source{Stream: true}, Owners: true}, in, nil)
	if err != nil {
		return err
	}
	defer box.close()
	if _, err := box.hear(carry.MsgInfo); err != nil {
		return err
	}
	_, err = box.hear(carry.MsgDone)
	return err
}

// Diff lists what a container changed in its image.
func (e *Engine) Diff(text string) ([]rootfs.Change, error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return nil, err
	}
	if len(rec.Layers) == 0 {
		return nil, fault.New("", "container %s has no image to compare with: it runs in a directory (--rootfs)", rec.Name)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	box, err := e.carrier(rec, &carry.Request{Op: carry.Diff}, nil, w)
	w.Close()
	if err != nil {
		return nil, err
	}
	defer box.close()
	var list []rootfs.Change
	for b := bufio.NewReader(r); ; {
		line, err := b.ReadString(0)
		if err != nil || len(line) < 2 {
			break
		}
		list = append(list, rootfs.Change{Kind: line[0], Path: strings.TrimSuffix(line[1:], "\x00")})
	}
	_, err = box.hear(carry.MsgDone)
	return list, err
}

// errno is the reason alone of an error that says the path in its own way.
func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// counter counts what passes.
type counter struct {
	io.Reader
	io.Writer
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}
