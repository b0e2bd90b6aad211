package carry

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Packer writes files as a tar stream. It never blocks on what is not a file: a
// tree may change while it is read, also on purpose.
type Packer struct {
	W       *tar.Writer
	Note    func(text string)
	Precise bool // times to the nanosecond, and paxLinked: for an Unpacker
	Flat    bool // leave out what is on another file system, and capabilities in
	device  uint64
	links   map[inode]string
	buf     []byte
}

type inode struct{ dev, ino uint64 }

// paxLinked marks a file to which a hard link may come in the stream.
const paxLinked = "RL.linked"

// paxCapability is how tar programs write a file's capabilities.
const paxCapability = "SCHILY.xattr.security.capability"

// fakedSize is up to what size a file without blocks is believed to be one of the
// kernel's, whose size says nothing.
const fakedSize = 1 << 20

// Tree adds what has a name in dir, "." is dir itself, with all that is in it. It is
// called as in the stream; "" names only what is in it.
func (p *Packer) Tree(dir *os.Root, name, as string) error {
	if p.links == nil {
		p.links, p.buf = map[inode]string{}, make([]byte, 256<<10)
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return failed("", name, err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.device = st.Dev
	}
	return p.add(dir, name, as, info)
}

func (p *Packer) add(dir *os.Root, name, as string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return failed("stat", name, errors.ErrUnsupported)
	}
	h := &tar.Header{Name: as, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: info.ModTime()}
	if p.Precise {
		h.Format = tar.FormatPAX
	} else {
		h.ModTime = h.ModTime.Truncate(time.Second)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return p.directory(dir, name, h)
	case 0:
		if p.linked(h, st) {
			return p.W.WriteHeader(h)
		}
		sent, err := p.file(dir, name, h)
		if !sent { // a further name of it is the first then
			delete(p.links, inode{st.Dev, st.Ino})
		}
		return err
	case fs.ModeSymlink:
		to, err := dir.Readlink(name)
		if err != nil {
			return gone(as, err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, to
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	case fs.ModeDevice | fs.ModeCharDevice, fs.ModeDevice:
		h.Typeflag = tar.TypeBlock
		if info.Mode()&fs.ModeCharDevice != 0 {
			h.Typeflag = tar.TypeChar
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case fs.ModeSocket:
		p.Note("not copied, as it is a socket: " + Quote(as))
		return nil
	default:
		p.Note("not copied, as nobody knows what it is: " + Quote(as))
		return nil
	}
	return p.W.WriteHeader(h)
}

// linked makes a hard link of the second name of a file.
func (p *Packer) linked(h *tar.Header, st *syscall.Stat_t) bool {
	if st.Nlink < 2 {
		return false
	}
	key := inode{st.Dev, st.Ino}
	first, ok := p.links[key]
	if ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return true
	}
	p.links[key] = h.Name
	if p.Precise {
		h.PAXRecords = map[string]string{paxLinked: "1"}
	}
	return false
}

// directory adds one, its names in order. It is opened by its name alone: what
// it was made meanwhile is in the same directory, or is refused.
func (p *Packer) directory(dir *os.Root, name string, h *tar.Header) (err error) {
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return gone(h.Name, err)
	}
	defer sub.Close()
	prefix := ""
	if h.Name != "" {
		prefix = h.Name + "/"
		h.Name, h.Typeflag = prefix, tar.TypeDir
		if err := p.W.WriteHeader(h); err != nil {
			return err
		}
	}
	f, err := sub.Open(".")
	if err != nil {
		return gone(h.Name, err)
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return failed("read", h.Name, err)
	}
	slices.Sort(names)
	for _, n := range names {
		info, err := sub.Lstat(n)
		if err == nil && p.foreign(info) {
			continue
		}
		if err == nil {
			err = p.add(sub, n, prefix+n, info)
		} else {
			err = gone(prefix+n, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foreign tells whether a directory belongs to another file system than the
// topmost one. Files are not asked: an overlay says of some that they do.
func (p *Packer) foreign(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return p.Flat && ok && info.IsDir() && st.Dev != p.device
}

// gone forgives that a name vanished after its directory was read.
func gone(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESTALE) {
		return nil
	}
	return failed("", name, err)
}

// file adds one with its content, and tells whether it came to that.
func (p *Packer) file(dir *os.Root, name string, h *tar.Header) (sent bool, err error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false, gone(h.Name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, failed("", h.Name, err)
	}
	if !info.Mode().IsRegular() { // a pipe may even have the number of the file before
		p.Note("not copied, as it became something else than a file: " + Quote(h.Name))
		return false, nil
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if p.Flat && h.Mode&0o111 != 0 {
		capability(f, h)
	}
	var from io.Reader = f
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks == 0 && h.Size <= fakedSize {
		data, err := io.ReadAll(io.LimitReader(f, fakedSize))
		if err != nil {
			return false, failed("read", h.Name, err)
		}
		h.Size, from = int64(len(data)), bytes.NewReader(data)
	}
	if err := p.W.WriteHeader(h); err != nil {
		return false, err
	}
	n, err := io.CopyBuffer(onlyWriter{p.W}, onlyReader{io.LimitReader(from, h.Size)}, p.buf)
	if err != nil {
		return true, failed("copy", h.Name, err)
	}
	if n < h.Size {
		p.Note(fmt.Sprintf("%s became shorter while it was read: zeros are in the place of its last %d bytes", Quote(h.Name), h.Size-n))
		_, err = io.CopyN(p.W, zeros{}, h.Size-n)
	}
	return true, err
}

// capability notes what the kernel gives those who execute the file.
func capability(f *os.File, h *tar.Header) {
	var buf [64]byte
	n, err := unix.Fgetxattr(int(f.Fd()), "security.capability", buf[:])
	if err != nil || n == 0 {
		return
	}
	if h.PAXRecords == nil {
		h.PAXRecords = map[string]string{}
	}
	h.PAXRecords[paxCapability] = string(buf[:n])
}

// onlyWriter and onlyReader hide the short cuts of io.Copy, which would leave out the buffer.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
