package overlay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
)

// secondsVar has TestLikeKernel go on with new seeds for so many seconds.
const secondsVar = "RL_OVERLAY_SECONDS"

// The same operations, at random, on the kernel's overlay and on this one: each
// must answer the same, and leave the same tree.
//
// The kernel's overlay has several inodes for a file with several names, where a layer has the
// file, and one does not know what came by another: set-id bits, an owner. So there are two ways.
// Most runs keep files open, and excuse what such inodes explain. One in three keeps none open
// and mounts the kernel's overlay anew before every step: there are no such inodes, and
// nothing is excused.
func TestLikeKernel(t *testing.T) {
	t.Parallel()
	base := fstest.TmpfsDir(t)
	for seed := range int64(12) {
		if compare(t, base, seed, 250, seed%3 == 2); t.Failed() {
			return
		}
	}
	seconds, _ := strconv.Atoi(os.Getenv(secondsVar))
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	runs := 0
	for seed := time.Now().UnixNano(); time.Now().Before(end) && !t.Failed(); seed++ {
		compare(t, base, seed, 400, seed%3 == 2)
		runs++
	}
	t.Log(runs, "runs of 400 steps with new seeds")
}

var modes = regexp.MustCompile(`\b10[0-7]{4}\b`)

// onlySetID tells whether what changes a file's data or owner differs only in set-id bits.
func onlySetID(what, kernel, here string) bool {
	if !slices.Contains([]string{"create", "truncate", "fdtruncate", "write", "append", "fdwrite", "punch", "chown"}, what) {
		return false
	}
	cleared := func(s string) string {
		return modes.ReplaceAllStringFunc(s, func(s string) string {
			n, _ := strconv.ParseUint(s, 8, 32)
			return strconv.FormatUint(n&^(unix.S_ISUID|unix.S_ISGID), 8)
		})
	}
	return cleared(kernel) == cleared(here)
}

func sameFile(x, y string) bool {
	a, err1 := os.Lstat(x)
	b, err2 := os.Lstat(y)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

var groups = regexp.MustCompile(` is /.*`)

func compare(t *testing.T, base string, seed int64, steps int, fresh bool) {
	t.Helper()
	dir, err := os.MkdirTemp(base, "")
	must(t, err)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"l0", "l1", "ku", "kw", "kr", "fu", "fw", "fr"} {
		must(t, os.Mkdir(in(d), 0o755))
	}
	layers(t, in("l0"), in("l1"), rand.New(rand.NewSource(seed)))
	kernel := "userxattr,lowerdir=" + in("l0") + ":" + in("l1") + ",upperdir=" + in("ku") + ",workdir=" + in("kw")
	must(t, unix.Mount("overlay", in("kr"), "overlay", 0, kernel))
	stop := start(t, job{Target: in("fr"), Options: Options{Lowers: []string{in("l0"), in("l1")}, Upper: in("fu"), Work: in("fw")}})
	r := rand.New(rand.NewSource(seed))
	k, f := &subject{root: in("kr")}, &subject{root: in("fr")}
	var done []string
	stale := false
	for i := range steps {
		op := pick(r)
		if fresh {
			if op.what == "open" {
				continue
			}
			must(t, fstest.Unmount(in("kr")))
			must(t, unix.Mount("overlay", in("kr"), "overlay", 0, kernel))
		}
		a, b := k.do(op), f.do(op)
		done = append(done, fmt.Sprintf("%d %s: %s", i, op, a))
		if op.what == "fdchmod" && a == unix.EEXIST.Error() {
			// The kernel cannot copy up a file of a layer that has lost its name.
			k.drop(op.n)
			f.drop(op.n)
			continue
		}
		if a == unix.ESTALE.Error() && sameFile(f.root+"/"+op.x, f.root+"/"+op.y) {
			continue // the kernel does not exchange two names of one file, which changes nothing
		}
		if a == unix.ESTALE.Error() && !fresh {
			// Two names of one file, of which the kernel has two inodes (see groups): the
			// trees are no longer the same, and this is the end.
			stale = true
			break
		}
		if a != b && !fresh && (onlySetID(op.what, a, b) || b == unix.EACCES.Error()) {
			// The kernel clears too few set-id bits or too many; or here a sticky directory's link may
			// not be followed (protected_symlinks, all that can refuse root).
			stale = true
			break
		}
		if a != b {
			t.Errorf("seed %d, step %d, %s: kernel %q, here %q\n%s", seed, i, op, a, b, strings.Join(done[max(0, len(done)-25):], "\n"))
			break
		}
	}
	k.close()
	f.close()
	// Which names are one file is compared below: the kernel gives a new link of a layer's
	// file another st_ino until it is looked up again.
	if a, b := groups.ReplaceAllString(tree(t, k.root), ""), groups.ReplaceAllString(tree(t, f.root), ""); a != b && !stale && !t.Failed() {
		t.Errorf("seed %d: the trees differ:\n%s\n%s", seed, only(a, b, "kernel "), only(b, a, "here   "))
		t.Log(strings.Join(done, "\n"))
	}
	must(t, unix.Unmount(k.root, unix.MNT_DETACH))
	stop()
	// What is on disk is the kernel's format: it shows the same tree.
	kernel = "userxattr,lowerdir=" + in("l0") + ":" + in("l1") + ",upperdir=" + in("fu") + ",workdir=" + in("fw")
	index, err := filepath.Glob(in("fw/links-*"))
	must(t, err)
	for _, x := range index {
		must(t, os.RemoveAll(x))
	}
	must(t, unix.Mount("overlay", in("kr"), "overlay", 0, kernel))
	again := tree(t, k.root)
	must(t, unix.Unmount(k.root, unix.MNT_DETACH))
	must(t, unix.Mount("overlay", in("kr"), "overlay", 0, strings.NewReplacer("/fu,", "/ku,", "/fw", "/kw").Replace(kernel)))
	if want := tree(t, k.root); again != want && !stale && !t.Failed() {
		t.Errorf("seed %d: mounted by the kernel, the trees differ:\n%s\n%s", seed, only(want, again, "kernel's "), only(again, want, "this one's"))
		t.Log(strings.Join(done, "\n"))
	}
	must(t, unix.Unmount(k.root, unix.MNT_DETACH))
	must(t, os.RemoveAll(dir))
}

var (
	dirNames  = []string{"", "a", "b", "a/a", "a/b", "b/a"}
	fileNames = []string{"a", "b", "x", "y"}
)

// layers makes two layers at random.
func layers(t *testing.T, top, low string, r *rand.Rand) {
	fillLayers(t, top, low, r)
	// The kernel shows whiteouts in what hides no layer; unpacking an image leaves none.
	must(t, filepath.WalkDir(top, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeCharDevice == 0 {
			return err
		}
		dir := filepath.Dir(p)
		st, err := os.Lstat(low + strings.TrimPrefix(dir, top))
		merged := err == nil && st.IsDir()
		for ; len(dir) > len(top); dir = filepath.Dir(dir) {
			_, err := unix.Lgetxattr(dir, "user.overlay.opaque", nil)
			merged = merged && err != nil
		}
		if merged {
			return nil
		}
		return os.Remove(p)
	}))
	for _, l := range []string{top, low} {
		must(t, filepath.WalkDir(l, func(p string, _ os.DirEntry, err error) error {
			ts := []unix.Timespec{{Sec: 1000}, {Sec: 2000, Nsec: 5}}
			return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, p, ts, unix.AT_SYMLINK_NOFOLLOW))
		}))
	}
}

func fillLayers(_ *testing.T, top, low string, r *rand.Rand) {
	for i, l := range []string{top, low} {
		for range 14 {
			d := filepath.Join(l, dirNames[r.Intn(len(dirNames))])
			if os.MkdirAll(d, 0o755) != nil {
				continue
			}
			name := filepath.Join(d, fileNames[r.Intn(len(fileNames))])
			switch r.Intn(6) {
			case 0:
				_ = os.Symlink("x", name)
			case 1:
				if i == 0 {
					_ = unix.Mknod(name, unix.S_IFCHR, 0)
				}
			case 2:
				if i == 0 && len(name) > len(l)+2 {
					_ = unix.Setxattr(d, "user.overlay.opaque", []byte("y"), 0)
				}
			default:
				_ = os.WriteFile(name, []byte("layer"+strconv.Itoa(i)+strings.Repeat("z", r.Intn(9000))), os.FileMode(0o600|r.Intn(0o200)))
				_ = unix.Setxattr(name, "user.k", []byte("v"), 0)
			}
		}
	}
}

type operation struct {
	what, x, y string
	n, m       int
}

func (o operation) String() string { return fmt.Sprintf("%s %s %s %d %d", o.what, o.x, o.y, o.n, o.m) }

var kinds = strings.Fields("create create excl write write append truncate chmod unlink unlink unlink mkdir mkdir rmdir rmdir rename rename rename" +
	" noreplace exchange exchange link link symlink fifo setxattr rmxattr utimes list list stat read open open fdwrite fdread fdstat fdtruncate fdchmod fdclose punch tmpfile chown")

func pick(r *rand.Rand) operation {
	name := func() string {
		d := dirNames[r.Intn(len(dirNames))]
		if d != "" {
			d += "/"
		}
		return d + fileNames[r.Intn(len(fileNames))]
	}
	return operation{kinds[r.Intn(len(kinds))], name(), name(), r.Intn(4), r.Intn(12000)}
}

// subject is one of the two trees, with what is open in it.
type subject struct {
	root string
	fds  [4]int
}

func (s *subject) close() {
	for i := range s.fds {
		s.drop(i)
	}
}

func (s *subject) drop(i int) {
	if s.fds[i] > 0 {
		_ = unix.Close(s.fds[i])
		s.fds[i] = 0
	}
}

// do does it and tells what came of it.
func (s *subject) do(o operation) string {
	x, y := s.root+"/"+o.x, s.root+"/"+o.y
	fd := s.fds[o.n]
	data := []byte(strings.Repeat(strconv.Itoa(o.m), 1+o.m/50))
	var err error
	with := func(flags int, mode uint32, f func(fd int) error) {
		var n int
		if n, err = unix.Open(x, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode); err == nil {
			err = errors.Join(f(n), unix.Close(n))
		}
	}
	put := func(off int64) func(int) error {
		return func(n int) error { _, err := unix.Pwrite(n, data, off); return err }
	}
	switch o.what {
	case "create":
		with(unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, uint32(0o600|o.m%0o200), put(0))
	case "excl":
		with(unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644, put(0))
	case "write":
		with(unix.O_RDWR, 0, put(int64(o.m)))
	case "append":
		with(unix.O_WRONLY|unix.O_APPEND, 0, func(n int) error { _, err := unix.Write(n, data); return err })
	case "truncate":
		err = unix.Truncate(x, int64(o.m))
	case "chmod":
		if st, e := os.Lstat(x); e == nil && st.Mode()&os.ModeSymlink == 0 {
			err = unix.Chmod(x, uint32(o.m)&0o7777|0o700)
		}
	case "chown":
		err = unix.Lchown(x, o.n%2, o.n/2)
	case "unlink":
		err = unix.Unlink(x)
	case "mkdir":
		err = unix.Mkdir(x, 0o755)
	case "rmdir":
		err = unix.Rmdir(x)
	case "rename":
		err = unix.Rename(x, y)
	case "noreplace":
		err = unix.Renameat2(unix.AT_FDCWD, x, unix.AT_FDCWD, y, unix.RENAME_NOREPLACE)
	case "exchange":
		err = unix.Renameat2(unix.AT_FDCWD, x, unix.AT_FDCWD, y, unix.RENAME_EXCHANGE)
	case "link":
		err = unix.Link(x, y)
	case "symlink":
		err = unix.Symlink("to"+strconv.Itoa(o.m), x)
	case "fifo":
		err = unix.Mkfifo(x, 0o640)
	case "setxattr":
		err = unix.Lsetxattr(x, "user.n"+strconv.Itoa(o.n), data[:min(len(data), 100)], 0)
	case "rmxattr":
		err = unix.Lremovexattr(x, "user.k")
	case "utimes":
		err = unix.UtimesNanoAt(unix.AT_FDCWD, x, []unix.Timespec{{Sec: int64(o.m)}, {Sec: int64(o.m), Nsec: 7}}, unix.AT_SYMLINK_NOFOLLOW)
	case "list":
		return list(filepath.Dir(x))
	case "stat":
		return line(x)
	case "read":
		var got []byte
		with(unix.O_RDONLY, 0, func(n int) error {
			got = make([]byte, 30000)
			k, err := unix.Read(n, got)
			got = got[:max(k, 0)]
			return err
		})
		return fmt.Sprintf("%v %q", err, got)
	case "open":
		if fd > 0 {
			_ = unix.Close(fd)
		}
		s.fds[o.n], err = unix.Open(x, []int{unix.O_RDONLY, unix.O_RDWR}[o.m%2]|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			s.fds[o.n] = 0
		}
	default:
		return s.onOpen(o, fd, data)
	}
	if err != nil {
		return err.Error()
	}
	return "ok " + line(x) + line(y)
}

func (s *subject) onOpen(o operation, fd int, data []byte) string {
	if o.what == "tmpfile" {
		n, err := unix.Open(filepath.Dir(s.root+"/"+o.x), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o640)
		if err == nil {
			_, err = unix.Pwrite(n, data, 0)
			if o.m%2 == 0 {
				err = errors.Join(err, unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(n), unix.AT_FDCWD, s.root+"/"+o.x, unix.AT_SYMLINK_FOLLOW))
			}
			_ = unix.Close(n)
		}
		return fmt.Sprint(err, line(s.root+"/"+o.x))
	}
	if fd <= 0 {
		return "none"
	}
	var st unix.Stat_t
	var err error
	switch o.what {
	case "fdwrite":
		_, err = unix.Pwrite(fd, data, int64(o.m))
	case "fdread":
		got := make([]byte, 5000)
		n, err := unix.Pread(fd, got, int64(o.m/2))
		return fmt.Sprintf("%v %q", err, got[:max(n, 0)])
	case "fdtruncate":
		err = unix.Ftruncate(fd, int64(o.m))
	case "fdchmod":
		err = unix.Fchmod(fd, uint32(o.m)&0o777|0o600)
	case "punch":
		err = unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(o.m/2), 3000)
	case "fdclose":
		s.fds[o.n] = 0
		return fmt.Sprint(unix.Close(fd))
	}
	if err != nil {
		return err.Error()
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return err.Error()
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		st.Size = 0
	}
	// The kernel does not count the links of a layer's file that was replaced.
	return fmt.Sprintf("%o %d", st.Mode, st.Size)
}

// line describes one file.
func line(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return " " + err.Error()
	}
	s := fmt.Sprintf(" %o %d:%d", st.Mode, st.Uid, st.Gid)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		s += fmt.Sprintf(" %d n%d", st.Size, st.Nlink)
	}
	if st.Mtim.Sec < 1e6 { // set, or a layer's
		s += fmt.Sprintf(" %d.%d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	return s
}

func list(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.(*os.PathError).Err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+"="+e.Type().String())
	}
	return strings.Join(names, " ")
}

// tree describes all files.
func tree(t *testing.T, root string) string {
	var b strings.Builder
	inodes := map[uint64]string{}
	must(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(p, &st))
		name := strings.TrimPrefix(p, root)
		fmt.Fprintf(&b, "%s%s", name, line(p))
		buf := make([]byte, 4096)
		if n, err := unix.Llistxattr(p, buf); err == nil {
			keys := strings.Split(string(buf[:n]), "\x00")
			slices.Sort(keys)
			for _, k := range keys {
				if k != "" {
					v := make([]byte, 1000)
					n, _ := unix.Lgetxattr(p, k, v)
					fmt.Fprintf(&b, " %s=%q", k, v[:max(n, 0)])
				}
			}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(p)
			must(t, err)
			fmt.Fprintf(&b, " %q %x", data[:min(len(data), 20)], sha256.Sum256(data))
			if first, ok := inodes[st.Ino]; ok {
				b.WriteString(" is " + first)
			} else {
				inodes[st.Ino] = name
			}
		case unix.S_IFLNK:
			to, err := os.Readlink(p)
			must(t, err)
			b.WriteString(" -> " + to)
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

func only(a, b, mark string) string {
	var out strings.Builder
	have := strings.Split(b, "\n")
	for l := range strings.SplitSeq(a, "\n") {
		if !slices.Contains(have, l) {
			if len(l) > 300 {
				l = l[:300] + "…"
			}
			out.WriteString(mark + l + "\n")
		}
	}
	return out.String()
}
