package probe

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Host is the machine as this package sees it. The zero value is the real one.
// Each field replaces one way of looking, for tests.
type Host struct {
	// Root is put before every path that is read; "" is the real root.
	Root string
	// Exe is the program that trials re-execute; it must dispatch the stage
	// "probe" to [Main]. "" is this program, except in a test binary, where
	// trials are refused: it would run its tests again instead.
	Exe string
	// Timeout ends a trial or a helper program; 0 means 5 seconds.
	Timeout time.Duration

	IDs      func() (uid, gid int)                    // effective ids
	Getenv   func(string) string                      //
	ReadFile func(path string) ([]byte, error)        // small files; path is inside Root
	Lstat    func(path string, st *unix.Stat_t) error // does not follow the last link
	Stat     func(path string, st *unix.Stat_t) error
	Statfs   func(path string, st *unix.Statfs_t) error
	Access   func(path string, mode uint32) error // with the effective ids
	Xattr    func(path, name string, buf []byte) (int, error)
	Mkdir    func(path string, mode uint32) error
	Readlink func(path string) (string, error)
	Open     func(path string) error // for reading and writing; it is closed again

	Caps       func() (effective uint64, err error) // of this thread
	Bounding   func(capability uintptr) bool        // is it in the bounding set
	NoNewPrivs func() bool
	Rlimit     func(resource int) (soft, hard uint64, err error)

	// Run runs a helper program and gives its standard output.
	Run func(path string, args ...string) (string, error)
	// Try makes a system call in a throw-away child.
	Try func(Trial) Outcome
	// TryDir tries what a store needs of a directory, on files of its own.
	TryDir func(dir string) DirTrial
	// Uname gives release and machine.
	Uname func() (release, machine string)
	// Terminal reports whether a descriptor is a terminal.
	Terminal func(fd int) bool
}

// fill puts the real machine into every field that is not set.
func (h *Host) fill() {
	if h.Timeout == 0 {
		h.Timeout = 5 * time.Second
	}
	if h.IDs == nil {
		h.IDs = func() (int, int) { return unix.Geteuid(), unix.Getegid() }
	}
	if h.Getenv == nil {
		h.Getenv = os.Getenv
	}
	h.fillFiles()
	if h.Caps == nil {
		h.Caps = effectiveCaps
	}
	if h.Bounding == nil {
		h.Bounding = func(c uintptr) bool {
			n, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
			return err == nil && n == 1
		}
	}
	if h.NoNewPrivs == nil {
		h.NoNewPrivs = func() bool {
			n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
			return err == nil && n == 1
		}
	}
	if h.Rlimit == nil {
		h.Rlimit = func(r int) (uint64, uint64, error) {
			var l unix.Rlimit
			err := unix.Prlimit(0, r, nil, &l)
			return l.Cur, l.Max, err
		}
	}
	if h.Run == nil {
		h.Run = h.realRun
	}
	if h.Try == nil {
		h.Try = h.realTry
	}
	if h.TryDir == nil {
		h.TryDir = h.realTryDir
	}
	if h.Uname == nil {
		h.Uname = uname
	}
	if h.Terminal == nil {
		h.Terminal = func(fd int) bool {
			_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			return err == nil
		}
	}
}

func (h *Host) fillFiles() {
	root := h.Root
	if h.ReadFile == nil {
		h.ReadFile = func(p string) ([]byte, error) { return readFile(root + p) }
	}
	if h.Lstat == nil {
		h.Lstat = func(p string, st *unix.Stat_t) error { return noEINTR(func() error { return unix.Lstat(root+p, st) }) }
	}
	if h.Stat == nil {
		h.Stat = func(p string, st *unix.Stat_t) error { return noEINTR(func() error { return unix.Stat(root+p, st) }) }
	}
	if h.Statfs == nil {
		h.Statfs = func(p string, st *unix.Statfs_t) error {
			return noEINTR(func() error { return unix.Statfs(root+p, st) })
		}
	}
	if h.Access == nil {
		h.Access = func(p string, mode uint32) error {
			return unix.Faccessat(unix.AT_FDCWD, root+p, mode, unix.AT_EACCESS)
		}
	}
	if h.Xattr == nil {
		h.Xattr = func(p, name string, buf []byte) (int, error) { return unix.Getxattr(root+p, name, buf) }
	}
	if h.Readlink == nil {
		h.Readlink = func(p string) (string, error) {
			var buf [256]byte
			n, err := unix.Readlink(root+p, buf[:])
			return string(buf[:max(n, 0)]), err
		}
	}
	if h.Open == nil {
		h.Open = func(p string) error {
			return noEINTR(func() error {
				fd, err := unix.Open(root+p, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err == nil {
					unix.Close(fd)
				}
				return err
			})
		}
	}
	if h.Mkdir == nil {
		h.Mkdir = func(p string, mode uint32) error { return unix.Mkdir(root+p, mode) }
	}
}

// noEINTR repeats a call that a signal interrupted, as network filesystems
// mounted with "intr" do.
func noEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// readFile is os.ReadFile without the poller: three system calls for the
// small files of /proc and /etc, where os.ReadFile makes six.
func readFile(path string) ([]byte, error) {
	var fd int
	err := noEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var buf [4096]byte // on the stack; most files fit
	n, err := readFull(fd, buf[:])
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	out := append([]byte(nil), buf[:n]...)
	for n == len(buf) {
		if n, err = readFull(fd, buf[:]); err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		out = append(out, buf[:n]...)
	}
	return out, nil
}

// readFull reads until buf is full or the file ends. A short read counts as
// its end when it stops inside the first page, as reads of regular files and
// of the one-record files of procfs do.
func readFull(fd int, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += m
		if m == 0 || n < 1024 {
			return n, nil
		}
	}
	return n, nil
}

func effectiveCaps() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

func uname() (release, machine string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}
