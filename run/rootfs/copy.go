package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Copy is the rung that works everywhere: the layers are merged into Upper once,
// sharing blocks where the filesystem can (reflink), and Upper is bind-mounted.
//
// A mark in Work says how far that is, so that a container that is started again
// is not copied again, and a copy that was interrupted starts over:
//
//	Work/copying   being written; what is in Upper is worth nothing
//	Work/copied    complete, and durable unless Volatile
//
// Both hold the names of the layers, digested. Upper then holds the whole tree, not the
// changes: a container is bound to the driver it was created with, and one whose
// Upper has an overlay's changes is refused.
type Copy struct {
	tuning tuning // tests force its fallbacks
}

const (
	markBegun = "copying"
	markDone  = "copied"
)

// Name is "copy".
func (*Copy) Name() string { return "copy" }

// Mount copies what is not copied yet and binds it on Target. A read-only tree
// of a single layer needs no copy; one of several layers needs a Work directory even
// when it has no Upper, and is put together in there.
func (c *Copy) Mount(t Tree) (unmount func() error, err error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := t.ownMap(); err != nil {
		return nil, err
	}
	if t.Upper == "" && len(t.Lowers) == 1 {
		return bind(t.Lowers[0], t.Target, true)
	}
	if t.Upper == "" {
		if t.Work == "" {
			return nil, refused{errors.New("a copy needs a work directory")}
		}
		t.Upper = filepath.Join(t.Work, "tree")
		if err := os.Mkdir(t.Upper, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("cannot copy the layers: %w", err)
		}
	}
	if err := c.fill(t); err != nil {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return nil, &fault.Error{Err: err, Hint: "the copy driver needs room for the whole image in each container: free some, or see rl doctor for what keeps the overlay drivers from working"}
		}
		return nil, err
	}
	return bind(t.Upper, t.Target, t.ReadOnly)
}

// key stands for the layers in their order.
func (t Tree) key() string {
	sum := sha256.Sum256([]byte(strings.Join(t.Lowers, "\x00")))
	return hex.EncodeToString(sum[:]) + "\n"
}

func (c *Copy) fill(t Tree) error {
	begun, done := filepath.Join(t.Work, markBegun), filepath.Join(t.Work, markDone)
	switch got, err := os.ReadFile(done); {
	case err == nil && string(got) == t.key():
		return nil
	case err == nil:
		return fault.New("remove the container and create it again", "the container's copy was made of other layers than these")
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("cannot copy the layers: %w", err)
	}

	switch _, err := os.Lstat(begun); {
	case err == nil:
		if err := clear(t.Upper); err != nil {
			return fmt.Errorf("cannot start an interrupted copy over: %w", err)
		}
	case errors.Is(err, os.ErrNotExist):
		empty, err := isEmpty(t.Upper)
		if err != nil {
			return fmt.Errorf("cannot copy the layers: %w", err)
		}
		if !empty {
			return fault.New("start it with --rootfs-driver kernel or fuse, or remove it and create it again",
				"the container was created with an overlay, whose changes a copy cannot take over")
		}
		if err := writeMark(begun, t.key()); err != nil {
			return fmt.Errorf("cannot copy the layers: %w", err)
		}
	default:
		return fmt.Errorf("cannot copy the layers: %w", err)
	}

	eng := engine{tuning: c.tuning}
	if err := eng.run(t.Lowers, t.Upper); err != nil {
		return fmt.Errorf("cannot copy the layers: %w", err)
	}
	if err := publish(t, begun, done); err != nil {
		return fmt.Errorf("cannot finish the copy of the layers: %w", err)
	}
	return nil
}

// publish makes the copy durable, then says so.
func publish(t Tree, begun, done string) (err error) {
	work, err := openat(unix.AT_FDCWD, t.Work, dirFlags, 0)
	if err != nil {
		return err
	}
	defer closing(work, &err)
	if !t.Volatile {
		if err := syncfs(work); err != nil {
			return err
		}
	}
	if err := os.Rename(begun, done); err != nil {
		return err
	}
	if t.Volatile {
		return nil
	}
	return fsync(work)
}

func writeMark(path, key string) error {
	return os.WriteFile(path, []byte(key), 0o600)
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	names, err := f.Readdirnames(1)
	if len(names) == 0 && err != nil && errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) == 0, errors.Join(err, f.Close())
}

// clear removes everything in dir, but not dir.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
