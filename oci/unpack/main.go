package unpack

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// The descriptors of the worker: stage gives them.
const (
	requestFD = 3
	replyFD   = 4
)

// Main is the body of the unpacking process, root in a user namespace of its own.
//
//	fd 0    the compressed layer
//	fd 3    a Request as JSON, one line
//	fd 4    the reply, see ReadReply
//	cwd     the directory to fill, alone in its parent
//
// The exit status is 0 when the layer was unpacked. The process owns nothing but memory:
// it may be killed at any moment.
func Main() int {
	w := os.NewFile(replyFD, "reply")
	res, err := worker()
	if werr := writeReply(w, res, err); werr != nil || err != nil {
		return 1
	}
	return 0
}

func worker() (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the unpacker failed, which is a mistake in rl: %v", p)
		}
	}()
	// About 15 MiB are live; collect early rather than grow.
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(40 << 20)
	unix.Umask(0o022)

	var req Request
	if err := json.NewDecoder(io.LimitReader(os.NewFile(requestFD, "request"), 1<<20)).Decode(&req); err != nil {
		return res, fmt.Errorf("read the request: %w", err)
	}
	ids, err := readIDMaps()
	if err != nil {
		return res, err
	}
	dir, err := confine()
	if err != nil {
		return res, fmt.Errorf("confine the unpacker to the layer's directory: %w", err)
	}
	return unpackLayer(dir, os.Stdin, req, ids)
}

// confine makes the parent of the working directory the root directory, and returns the
// new path of the working directory.
//
// The parent, not the layer itself: archive/tar, when umoci asks for a directory's
// header, looks its owner up in /etc/passwd, and the layer's could be a fifo. For
// the same reason the layer must be alone in its parent.
func confine() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	parent, err := os.Open("..")
	if err != nil {
		return "", err
	}
	names, err := parent.Readdirnames(2)
	parent.Close()
	if err != nil {
		return "", err
	}
	if len(names) != 1 || names[0] != filepath.Base(wd) {
		return "", fmt.Errorf("%s is not alone in its parent directory", wd)
	}
	if err := unix.Chroot(".."); err != nil {
		return "", os.NewSyscallError("chroot", err)
	}
	if err := dropPrivileges(); err != nil {
		return "", err
	}
	return "/" + names[0], nil
}

// dropPrivileges takes from all threads what unpacking does not need: gaining
// privileges by exec, and every capability but those over files. A program with cgo
// cannot do that for all its threads: rl has none, except when tested with -race.
func dropPrivileges() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno == unix.ENOTSUP {
		return nil
	}
	if errno != 0 {
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", errno)
	}
	keep := uint64(0)
	for _, c := range []int{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_MKNOD, unix.CAP_SETFCAP} {
		keep |= 1 << c
	}
	return os.NewSyscallError("capset", limitCaps(keep))
}
