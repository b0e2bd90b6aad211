package fuse_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse"
	"rl/fuse/fstest"
)

func TestMain(m *testing.M) { fstest.Main(m) }

// owned is a directory with one file that belongs to 1000:1000.
type owned struct{}

func (owned) Handle(r *fuse.Request) (int, syscall.Errno) {
	a := fuse.Attr{Ino: r.In.NodeID, Mode: unix.S_IFDIR | 0o755, Nlink: 1}
	if r.In.NodeID != 1 || r.In.Opcode == fuse.OpLookup {
		a.Mode, a.UID, a.GID = unix.S_IFREG|0o666, 1000, 1000
	}
	switch r.In.Opcode {
	case fuse.OpLookup:
		a.Ino = 2
		out := fuse.Reply[fuse.EntryOut](r)
		out.NodeID, out.EntryValid, out.AttrValid, out.Attr = 2, 9, 9, a
		return fuse.EntryOutSize, 0
	case fuse.OpGetattr, fuse.OpSetattr:
		out := fuse.Reply[fuse.AttrOut](r)
		out.AttrValid, out.Attr = 9, a
		return fuse.AttrOutSize, 0
	case fuse.OpOpen:
		return len(r.Out(fuse.OpenOutSize)), 0
	}
	return 0, syscall.ENOSYS
}

// A server cannot show an owner that its user namespace does not have: with a
// single id 1000 becomes nobody, whom nobody can write to or be made. That is why
// fuse/overlay does not read owners from user.rootlesscontainers.
func TestOwnersOutsideTheMap(t *testing.T) {
	target := fstest.TmpfsDir(t)
	c, err := fuse.Mount(target, fuse.Options{}, owned{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		c.Wait()
	}()
	file := filepath.Join(target, "file")
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	got := []any{st.Uid, st.Gid, unix.Access(file, unix.W_OK), unix.Chmod(file, 0o600), unix.Chown(file, 1000, 1000)}
	want := []any{uint32(1000), uint32(1000), error(nil), error(nil), error(nil)}
	if fstest.SingleID(t) {
		want = []any{uint32(65534), uint32(65534), error(unix.EACCES), error(unix.EOVERFLOW), error(unix.EINVAL)}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v: %v is wanted", got, want)
			break
		}
	}
}
