package seccomp_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
	"rl/run/inside/seccomp/filter"
)

// probes are run in the place of a workload. They print what is not as it
// should be; the exit status is how many such lines there are.
var probes = map[string]func() int{
	"default": probeDefault, "fake": probeFake, "errors": probeErrors, "flood": probeFlood,
	"killed": probeKilled, "victim": probeVictim, "interrupted": probeInterrupted, "restarted": probeRestarted, "nested": probeNested, "blind": probeBlind,
	"orphan": probeOrphan,
}

type wrong int

func (w *wrong) want(what string, got, want error) {
	if got != want && !errors.Is(got, want) {
		fmt.Printf("%s: %v, want %v\n", what, got, want)
		*w++
	}
}

func raw(nr uint32, args ...uintptr) error {
	a := [6]uintptr{}
	copy(a[:], args)
	if _, _, errno := syscall.RawSyscall6(uintptr(nr), a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func probeDefault() int {
	var w wrong
	w.want("unshare(NEWUSER)", unix.Unshare(unix.CLONE_NEWUSER), unix.EPERM)
	w.want("mount", unix.Mount("none", "/mnt", "tmpfs", 0, ""), unix.EPERM)
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	w.want("keyctl", err, unix.EPERM)
	w.want("clone3", raw(unix.SYS_CLONE3), unix.ENOSYS)
	w.want("call 9999", raw(9999), unix.ENOSYS)
	_, err = unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	w.want("vsock", err, unix.EPERM)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	w.want("unix socket", err, nil)
	unix.Close(fd)
	w.want("fork and exec", exec.Command("/bin/true").Run(), nil)
	return int(w)
}

// probeFake makes every faked call, by every entry that a 64-bit program has.
func probeFake() int {
	var w wrong
	minus1 := ^uintptr(0)
	for _, name := range []string{"chown", "fchown", "lchown", "fchownat", "setuid", "setgid", "setreuid", "setregid",
		"setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset"} {
		for _, e := range seccomp.Entries(name) {
			if e.Arch == seccomp.Entries("getpid")[0].Arch {
				w.want(fmt.Sprintf("%s (%#x)", name, e.Number), raw(e.Number, 54321, 54321, 54321, 0, 0), nil)
				if !strings.HasPrefix(name, "setfs") {
					w.want(fmt.Sprintf("%s -1 (%#x)", name, e.Number), raw(e.Number, minus1, minus1, minus1, 0, 0), nil)
				}
			}
		}
	}
	if os.Getuid() != 0 || os.Getgid() != 0 {
		fmt.Println("the ids changed:", os.Getuid(), os.Getgid())
		w++
	}
	// Beyond ids nothing is pretended.
	w.want("chmod", os.Chmod("nothing", 0o600), unix.ENOENT)
	w.want("fifo", unix.Mkfifo("fifo", 0o600), nil)
	w.want("socket node", unix.Mknod("socket", unix.S_IFSOCK|0o600, 0), nil)
	w.want("whiteout", unix.Mknod("whiteout", unix.S_IFCHR, 0), nil) // 5.8
	w.want("fifo without a path", raw(unix.SYS_MKNODAT, minus1, 0, unix.S_IFIFO), unix.EFAULT)
	return int(w)
}

// probeErrors makes notified calls that must fail as the real ones do.
func probeErrors() int {
	var w wrong
	mem, err := unix.Mmap(-1, 0, 2*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	w.want("mmap", err, nil)
	w.want("munmap", unix.Munmap(mem), nil)
	mem, err = unix.Mmap(-1, 0, 2*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	w.want("mmap", err, nil)
	w.want("guard", unix.Mprotect(mem[4096:], unix.PROT_NONE), nil)
	for i := range mem[:4096] {
		mem[i] = 'a'
	}
	edge := uintptr(unsafe.Pointer(&mem[4096-6])) // six bytes, then nothing
	at := ^uintptr(99)
	const dev, null = unix.S_IFCHR | 0o666, 0x103

	w.want("name NULL", raw(unix.SYS_SETXATTR, edge, 0), unix.EFAULT)
	w.want("name wild", raw(unix.SYS_SETXATTR, edge, 0xdeadbeef000), unix.EFAULT)
	w.want("name in the kernel", raw(unix.SYS_SETXATTR, edge, ^uintptr(4095)), unix.EFAULT)
	w.want("name without end", raw(unix.SYS_SETXATTR, edge, edge), unix.EFAULT)
	w.want("path NULL", raw(unix.SYS_MKNODAT, at, 0, dev, null), unix.EFAULT)
	w.want("path without end", raw(unix.SYS_MKNODAT, at, edge, dev, null), unix.EFAULT)
	w.want("path too long", unix.Mknod(strings.Repeat("a/", 2500), dev, null), unix.ENAMETOOLONG)
	w.want("component too long", unix.Mknod(strings.Repeat("a", 300), dev, null), unix.ENAMETOOLONG)
	w.want("path empty", unix.Mknod("", dev, null), unix.ENOENT)
	w.want("directory missing", unix.Mknod("no/null", dev, null), unix.ENOENT)
	w.want("file as directory", unix.Mknod("/proc/version/x", dev, null), unix.ENOTDIR)
	w.want("bad descriptor", unix.Mknodat(77, "x", dev, null), unix.EBADF)
	w.want("absolute path, bad descriptor", unix.Mknodat(77, filepath.Join(cwd(), "abs"), dev, null), nil)

	copy(mem[4096-6:], "a.txt\x00")
	w.want("name that ends at the edge of a page", raw(unix.SYS_MKNODAT, at, edge, dev, null), nil)
	w.want("twice", unix.Mknod("a.txt", dev, null), unix.EEXIST)
	w.want("mkdir", os.Mkdir("d", 0o755), nil)
	d, err := unix.Open("d", unix.O_PATH|unix.O_DIRECTORY, 0)
	w.want("open", err, nil)
	f, err := unix.Open("a.txt", unix.O_RDONLY, 0)
	w.want("open", err, nil)
	w.want("descriptor of a file", unix.Mknodat(f, "x", dev, null), unix.ENOTDIR)
	unix.Umask(0o027)
	w.want("in a directory", unix.Mknodat(d, "in", dev, null), nil)
	st, err := os.Stat("d/in")
	if err != nil || st.Mode() != 0o640 || st.Size() != 0 {
		fmt.Println("stand-in:", err, st)
		w++
	}
	w.want("user attribute of no file", unix.Setxattr("no", "user.x", nil, 0), unix.ENOENT)
	w.want("system attribute nobody knows", unix.Setxattr("d", "system.nonsense", nil, 0), unix.EOPNOTSUPP)
	w.want("security attribute", unix.Lsetxattr("d", "security.capability", []byte("x"), 0), nil)
	w.want("its removal", unix.Removexattr("d", "security.capability"), nil)
	w.want("trusted attribute", unix.Fsetxattr(f, "trusted.x", []byte("x"), 0), nil)
	w.want("removal of no attribute", unix.Removexattr("d", "user.none"), unix.ENODATA)
	return int(w)
}

func cwd() string {
	d, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return d
}

// probeFlood has far more callers than the supervisor has hands.
func probeFlood() int {
	var w wrong
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 48 {
		all.Go(func() {
			for j := range 30 {
				err := unix.Setxattr("/", "security.flood", nil, 0)
				node := fmt.Sprintf("n%d.%d", i, j%3)
				if err == nil && j < 3 {
					err = unix.Mknod(node, unix.S_IFBLK|0o600, 0x800)
				}
				if err != nil {
					mu.Lock()
					w.want("flood", err, nil)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return int(w)
}

// probeKilled kills callers in the midst of notified calls.
func probeKilled() int {
	var w wrong
	for i := range 25 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), configEnv+"=victim")
		w.want("start", cmd.Start(), nil)
		time.Sleep(time.Duration(15+i) * time.Millisecond)
		w.want("kill", cmd.Process.Kill(), nil)
		_ = cmd.Wait() // killed
	}
	w.want("afterwards", unix.Setxattr("/", "security.x", nil, 0), nil)
	w.want("afterwards", unix.Mknod("after", unix.S_IFBLK|0o600, 0x800), nil)
	return int(w)
}

func probeVictim() int {
	for i := 0; ; i++ {
		go func() { _ = unix.Setxattr("/", "security.x", nil, 0) }()
		_ = unix.Mknod(fmt.Sprintf("v%d.%d", os.Getpid(), i), unix.S_IFCHR|0o600, 0x103)
	}
}

// probeInterrupted is shot at with signals while it calls. A call that was
// interrupted and starts again must not find its own work (EEXIST).
func probeInterrupted() int { return underFire(0) }

// probeRestarted is the same before Linux 5.19, where a signal can come between the
// answer, which was sent, and the caller's waking up: then the call starts again in
// spite of it, and nobody can know. That is rare, or our undoing does not work.
func probeRestarted() int { return underFire(10) }

func underFire(tolerated int) int {
	var w wrong
	runtime.LockOSThread()
	me := unix.Gettid()
	for range 4 {
		go func() {
			for {
				_ = unix.Tgkill(os.Getpid(), me, unix.SIGURG) // the process may end first
				time.Sleep(50 * time.Microsecond)
			}
		}()
	}
	for i := range 300 {
		name := fmt.Sprintf("i%d", i)
		err := unix.Mknod(name, unix.S_IFCHR|0o600, 0x103)
		if err == unix.EEXIST && tolerated > 0 {
			tolerated--
			err = nil
		}
		w.want("mknod", err, nil)
		w.want("setxattr", unix.Setxattr(name, "security.x", nil, 0), nil)
	}
	return int(w)
}

// probeNested installs a second fake root where the chain has a listener.
func probeNested() int {
	var w wrong
	prog, fallback, flags, err := seccomp.FakeRoot()
	w.want("compile", err, nil)
	if _, errno := filter.Install(prog, flags); errno != unix.EBUSY {
		w.want("a second listener", errno, unix.EBUSY)
	}
	listener, errno := filter.InstallWithFallback(prog, fallback, flags)
	if listener != -1 || errno != 0 {
		fmt.Println("fallback:", listener, errno)
		w++
	}
	if name, errno := filter.SelfTest(false); name != "" {
		fmt.Println("self test:", name, errno)
		w++
	}
	return int(w)
}

// probeBlind has a supervisor that cannot see where a path leads. It must not
// guess: by the host's numbers, this process would be another.
func probeBlind() int {
	var w wrong
	w.want("setxattr", unix.Setxattr("/", "security.x", nil, 0), nil)
	w.want("mknod", unix.Mknod("x", unix.S_IFCHR|0o600, 0x103), nil)
	_, err := os.Lstat("x")
	w.want("what it made", err, os.ErrNotExist)
	return int(w)
}

// probeOrphan has lost its supervisor.
func probeOrphan() int {
	var w wrong
	w.want("setxattr", unix.Setxattr("/", "security.x", nil, 0), unix.ENOSYS)
	w.want("mknod", unix.Mknod("x", unix.S_IFCHR|0o600, 0x103), unix.ENOSYS)
	w.want("chown", unix.Chown("/", 5, 5), nil)
	return int(w)
}
