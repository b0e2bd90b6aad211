package overlay

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/fuse"
	"rl/fuse/fstest"
)

// slowLayer is a directory of files of one page; reading from "slow" waits for release.
type slowLayer struct {
	asked   chan struct{} // closed when somebody reads
	once    *sync.Once
	release chan struct{}
}

const slowNode, slowSize = 2, 4096

func (l slowLayer) Handle(r *fuse.Request) (int, syscall.Errno) {
	a := fuse.Attr{Ino: r.In.NodeID, Mode: unix.S_IFREG | 0o644, Nlink: 1, Size: slowSize}
	switch r.In.Opcode {
	case fuse.OpLookup:
		b, _ := r.Name(0)
		name := strings.TrimRight(string(b), "\x00")
		a.Ino = slowNode
		if name != "slow" {
			var i uint64
			if n, _ := fmt.Sscanf(name, "f%d", &i); n != 1 {
				return 0, syscall.ENOENT
			}
			a.Ino = 100 + i
		}
		out := fuse.Reply[fuse.EntryOut](r)
		out.NodeID, out.Attr = a.Ino, a
		return fuse.EntryOutSize, 0
	case fuse.OpGetattr:
		if r.In.NodeID == 1 {
			a.Mode, a.Size = unix.S_IFDIR|0o755, 0
		}
		fuse.Reply[fuse.AttrOut](r).Attr = a
		return fuse.AttrOutSize, 0
	case fuse.OpRead:
		if r.In.NodeID == slowNode {
			r.Yield()
			l.once.Do(func() { close(l.asked) })
			<-l.release
		}
		return len(r.Data(slowSize)), 0
	}
	return 0, syscall.ENOSYS
}

// While a file is copied up from a layer that does not answer, everything that is not about
// that file goes on, however many wait for it.
func TestSlowCopyUp(t *testing.T) {
	const waiting = 100
	o := newTryOut(t, fstest.TmpfsDir(t), 1)
	l := slowLayer{make(chan struct{}), new(sync.Once), make(chan struct{})}
	below, err := fuse.Mount(o.Lowers[0], fuse.Options{}, l)
	must(t, err)
	defer func() {
		must(t, unix.Unmount(o.Lowers[0], unix.MNT_DETACH))
		below.Wait()
	}()
	defer start(t, o.job)()

	var all sync.WaitGroup
	errs := make([]error, waiting)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range waiting {
			all.Go(func() {
				if i == 0 {
					errs[i] = os.Chmod(o.at("slow"), 0o600)
				} else if _, err := unix.Lgetxattr(o.at("slow"), "user.none", nil); err != unix.ENODATA {
					errs[i] = fmt.Errorf("getxattr: %w", err)
				}
			})
			if i == 0 {
				<-l.asked
			}
			if _, err := os.Lstat(o.at(fmt.Sprint("f", i))); err != nil {
				t.Error(err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("the others wait, too")
	}
	close(l.release)
	<-done
	all.Wait()
	for _, err := range errs {
		must(t, err)
	}
	var st unix.Stat_t
	must(t, unix.Stat(o.at("slow"), &st))
	if st.Mode&0o777 != 0o600 || st.Size != slowSize {
		t.Errorf("the copy has mode %o and %d bytes", st.Mode, st.Size)
	}
}
