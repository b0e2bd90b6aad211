package carry

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns"
	"rl/userns/sys"
	"rl/userns/sys/fault"
	"rl/userns/sys/raw"
)

// Main is the stage's main function.
func Main() int {
	c := &carrier{talk: sys.SocketAt(FdTalk)}
	unix.CloseOnExec(FdHold)
	unix.Umask(0)
	signal.Ignore(unix.SIGPIPE) // who reads the stream may leave: an error like others
	if err := c.serve(); err != nil {
		c.talk.Send(append([]byte{MsgError}, fault.Message(err, sys.MaxMessage-16)...))
		return 1
	}
	c.talk.Send([]byte{MsgDone})
	return 0
}

type carrier struct {
	talk  *sys.Socket
	req   Request
	root  inside
	notes int
}

// mostNotes is how many are told; the rest is counted.
const mostNotes = 20

func (c *carrier) note(text string) {
	if c.notes++; c.notes <= mostNotes {
		c.talk.Send(append([]byte{MsgNote}, text[:min(len(text), sys.MaxMessage-16)]...))
	}
}

func (c *carrier) serve() (err error) {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer func() {
		if c.notes > mostNotes {
			text := strconv.Itoa(c.notes-mostNotes) + " more were not copied, or not as they are"
			c.notes = 0
			c.note(text)
		}
		err = errors.Join(err, leave())
	}()
	switch c.req.Op {
	case Out:
		return c.out()
	case In:
		return c.in()
	case Export:
		return c.export()
	case Diff:
		return c.diff()
	}
	return fmt.Errorf("unknown operation %q", c.req.Op)
}

// enter goes to where the container's root directory is, and opens it.
func (c *carrier) enter() (leave func() error, err error) {
	leave = func() error { return nil }
	join := len(os.Args) > 2 && os.Args[2] == Join
	if join {
		// Its memory has the caller's streams, should its process ever be in sight (--pid=host).
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return nil, err
		}
	} else if _, err := userns.Join(); err != nil {
		return nil, err
	}
	if err := c.receive(); err != nil {
		return nil, err
	}
	if c.req.Op == Diff {
		return leave, nil
	}
	dir := "/"
	if join {
		// This thread only: no other opens anything but below its directories.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return nil, fmt.Errorf("unshare the working directory: %w", err)
		}
		if err := raw.Setns(FdHold, unix.CLONE_NEWNS); err != nil {
			if errors.Is(err, unix.ESRCH) {
				err = errors.New("it has ended")
			}
			return nil, fmt.Errorf("enter the container's mount namespace: %w", err)
		}
		unix.Close(FdHold)
	} else if dir, leave, err = c.req.Root.mount(c.note); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, leave())
	}
	c.root = inside{root}
	after := leave
	return func() error { return errors.Join(root.Close(), after()) }, nil
}

func (c *carrier) receive() error {
	msg, files, err := c.talk.Recv()
	if err != nil {
		return err
	}
	if msg[0] != MsgRequest || len(files) != 1 {
		return fmt.Errorf("unexpected message %q", msg[0])
	}
	defer files[0].Close()
	data, err := io.ReadAll(io.NewSectionReader(files[0], 0, 64<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &c.req)
}

// missing is docker's way to say that there is nothing.
func (c *carrier) missing() error {
	return fault.New("", "could not find the file %s in the container", Quote(c.req.Path))
}

// out says what the path leads to and sends it, when that is wanted.
func (c *carrier) out() error {
	name, slash, _ := Named(c.req.Path)
	at, info, err := c.root.resolve(c.req.Path, slash || c.req.Follow)
	switch {
	case errors.Is(err, unix.ENOENT), err == nil && info == nil:
		return c.missing()
	case err != nil:
		return err
	case slash && !info.IsDir():
		return failed("", c.req.Path, unix.ENOTDIR)
	}
	i := Info{Name: name, Mode: info.Mode(), Size: info.Size()}
	if info.Mode().Type() == os.ModeSymlink {
		i.Link, _ = c.root.Readlink(at)
	}
	as, err := c.goAhead(i)
	if err != nil {
		return err
	}
	return c.send(c.root.Root, at, as, &Packer{Precise: !c.req.Source.Stream})
}

// goAhead tells what there is and waits for the word.
func (c *carrier) goAhead(i Info) (as string, err error) {
	data, err := json.Marshal(i)
	if err != nil {
		return "", err
	}
	if err := c.talk.Send(append([]byte{MsgInfo}, data...)); err != nil {
		return "", err
	}
	msg, _, err := c.talk.Recv()
	if err == nil && msg[0] != MsgGo {
		err = fmt.Errorf("unexpected message %q", msg[0])
	}
	if err != nil {
		return "", err
	}
	return string(msg[1:]), nil
}

func (c *carrier) send(dir *os.Root, name, as string, p *Packer) error {
	// In one piece: tar(1) leaves at the first block of the end's two.
	w := bufio.NewWriterSize(os.NewFile(1, "stream"), 64<<10)
	p.W, p.Note = tar.NewWriter(w), c.note
	if err := p.Tree(dir, name, as); err != nil {
		return err
	}
	if err := p.W.Close(); err != nil {
		return err
	}
	return w.Flush()
}

// in decides where the source goes, and takes it.
func (c *carrier) in() error {
	_, slash, _ := Named(c.req.Path)
	at, info, err := c.root.resolve(c.req.Path, true)
	if errors.Is(err, unix.ENOENT) {
		return fault.New("make it first", "could not find the directory of %s in the container", Quote(c.req.Path))
	}
	if err != nil {
		return err
	}
	d := Destination{Path: path.Join("/", at), Exists: info != nil, Slash: slash}
	if info != nil {
		d.Mode = info.Mode()
	}
	to, err := Decide(c.req.Source, d)
	if err != nil {
		return err
	}
	if err := c.talk.Send([]byte{MsgInfo, '{', '}'}); err != nil {
		return err
	}
	u := &Unpacker{Name: to.Name, Stream: c.req.Source.Stream, Root: c.root.Root, At: strings.TrimPrefix(to.Dir, "/"),
		Owners: c.req.Owners, Single: c.req.Single, Note: c.note}
	if u.At == "" {
		u.At = "."
	}
	if u.Top, err = c.root.OpenRoot(u.At); err != nil {
		return failed("", to.Dir, err)
	}
	defer u.Top.Close()
	err = u.Unpack(os.NewFile(0, "stream"))
	if errors.Is(err, unix.EROFS) {
		return fault.New("write to a volume, or to what is mounted writable", "%w: the container's root file system, or what is mounted there, is read-only", err)
	}
	return err
}

// export sends the root file system without what is mounted in it: of a running
// container a copy of its mount, where nothing else is mounted.
func (c *carrier) export() error {
	root := c.root.Root
	if dir, err := root.Open("."); err == nil {
		defer dir.Close()
		if fd, err := sys.OpenTree(int(dir.Fd()), "", unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH); err == nil {
			defer unix.Close(fd)
			if bare, err := openRootAt(fd); err == nil {
				defer bare.Close()
				root = bare
			}
		}
	}
	if _, err := c.goAhead(Info{Mode: os.ModeDir}); err != nil {
		return err
	}
	return c.send(root, ".", "", &Packer{Flat: true})
}

// openRootAt opens a directory that has a descriptor, from this thread: its working
// directory is its own.
func openRootAt(fd int) (*os.Root, error) {
	if err := unix.Fchdir(fd); err != nil {
		return nil, err
	}
	return os.OpenRoot(".")
}
