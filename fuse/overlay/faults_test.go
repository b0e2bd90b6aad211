package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
)

// small puts upper and work on a filesystem of that many bytes.
func (o *tryOut) small(t *testing.T, size string) (disk string) {
	disk = o.in("disk")
	must(t, os.Mkdir(disk, 0o755))
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=755,size="+size))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	o.Upper, o.Work = filepath.Join(disk, "upper"), filepath.Join(disk, "work")
	must(t, os.Mkdir(o.Upper, 0o755))
	must(t, os.Mkdir(o.Work, 0o755))
	return disk
}

func (o *tryOut) at(name string) string { return filepath.Join(o.Target, name) }

func (o *tryOut) reads(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(o.at(name)); err != nil || string(got) != want {
		t.Errorf("%s reads %.40q (%d bytes), %v", name, got, len(got), err)
	}
}

func fails(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("%s: %v, not %v", what, err, want)
}

// A full upper tells the program, and nothing is lost or half there.
func TestFullUpper(t *testing.T) {
	o := newTryOut(t, fstest.DiskDir(t), 1)
	o.small(t, "1m")
	large := strings.Repeat("large ", 400_000)
	put(t, o.Lowers[0]+"/large", large)
	put(t, o.Lowers[0]+"/little", "little")
	defer start(t, o.job)()

	fails(t, "copy up what has no room", appendTo(o.at("large"), "+"), unix.ENOSPC)
	fails(t, "chmod it", os.Chmod(o.at("large"), 0o600), unix.ENOSPC)
	o.reads(t, "large", large)
	f, err := os.Create(o.at("new"))
	must(t, err)
	piece := make([]byte, 64<<10)
	for i := 0; i < 64 && err == nil; i++ {
		_, err = f.Write(piece)
	}
	fails(t, "write", err, unix.ENOSPC)
	must(t, f.Close())
	fails(t, "copy up", appendTo(o.at("little"), "+"), unix.ENOSPC)
	o.reads(t, "little", "little")
	left, err := os.ReadDir(o.Work)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("in the work directory is %v", left)
	}
	must(t, os.Remove(o.at("new")))
	// The kernel tells of a file that nobody has open any more when it likes (FORGET).
	for range 100 {
		if err = appendTo(o.at("little"), "+"); !errors.Is(err, unix.ENOSPC) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	must(t, err)
	o.reads(t, "little", "little+")
	must(t, os.Truncate(o.at("large"), 5)) // copies no more than that
	o.reads(t, "large", "large")
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// An upper that becomes read-only (a disk with errors) tells the program; what is
// there can be read.
func TestReadOnlyUpper(t *testing.T) {
	o := newTryOut(t, fstest.DiskDir(t), 1)
	disk := o.small(t, "1m")
	put(t, o.Lowers[0]+"/lower", "lower")
	put(t, o.Lowers[0]+"/dir/file", "file")
	put(t, o.Upper+"/upper", "upper")
	defer start(t, o.job)()
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for what, err := range map[string]error{
		"copy up":             appendTo(o.at("lower"), "+"),
		"write":               appendTo(o.at("upper"), "+"),
		"chmod":               os.Chmod(o.at("dir"), 0o700),
		"unlink of the upper": os.Remove(o.at("upper")),
		"unlink of the layer": os.Remove(o.at("lower")),
		"mkdir":               os.Mkdir(o.at("new"), 0o755),
		"create":              os.WriteFile(o.at("dir/new"), nil, 0o644),
		"rename":              os.Rename(o.at("upper"), o.at("moved")),
		"rename of the layer": os.Rename(o.at("lower"), o.at("moved")),
		"link":                os.Link(o.at("upper"), o.at("linked")),
		"symlink":             os.Symlink("to", o.at("symlink")),
		"setxattr":            unix.Setxattr(o.at("lower"), "user.x", nil, 0),
		"truncate":            os.Truncate(o.at("upper"), 0),
	} {
		fails(t, what, err, unix.EROFS)
	}
	o.reads(t, "lower", "lower")
	o.reads(t, "upper", "upper")
	o.reads(t, "dir/file", "file")
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=1m"))
	must(t, appendTo(o.at("lower"), "+"))
	must(t, os.Remove(o.at("upper")))
	o.reads(t, "lower", "lower+")
}

// A layer that is deleted below a running container: errors, no hang, and the rest
// is there.
func TestLayerDisappears(t *testing.T) {
	o := newTryOut(t, fstest.DiskDir(t), 2)
	put(t, o.Lowers[0]+"/dir/sub/gone", "gone")
	put(t, o.Lowers[0]+"/opened", "opened")
	put(t, o.Lowers[1]+"/dir/sub/left", "left")
	put(t, o.Lowers[1]+"/left", "left")
	defer start(t, o.job)()
	f, err := os.Open(o.at("opened"))
	must(t, err)
	defer f.Close()
	_, err = os.ReadDir(o.at("dir"))
	must(t, err)
	must(t, os.RemoveAll(o.Lowers[0]))
	_, err = os.ReadFile(o.at("dir/sub/gone"))
	fails(t, "read what is gone", err, unix.ENOENT, unix.ESTALE)
	fails(t, "write to it", appendTo(o.at("opened"), "+"), unix.ENOENT, unix.ESTALE)
	var b [6]byte // the server may not have it open
	if n, err := f.ReadAt(b[:], 0); err == nil && string(b[:n]) != "opened" {
		t.Errorf("what is open reads %q", b[:n])
	}
	o.reads(t, "left", "left")
	must(t, appendTo(o.at("left"), "+"))
	must(t, os.WriteFile(o.at("new"), nil, 0o644))
	_, err = os.ReadDir(o.Target) // a listing would lack what nobody knows of: as with the kernel's
	fails(t, "list it", err, unix.ENOENT)
}

// Ten thousand files are open at a time, of a layer and of the upper.
func TestManyOpenFiles(t *testing.T) {
	const count, names = 10_000, 500
	var lim unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Max < count*3/2 {
		fstest.Skip(t, fmt.Sprint("no more than ", lim.Max, " files can be open"))
	}
	o := newTryOut(t, fstest.TmpfsDir(t), 1)
	for i := range names {
		put(t, fmt.Sprintf("%s/d%d/f%d", o.Lowers[0], i%20, i), fmt.Sprint(i))
	}
	defer start(t, o.job)()
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for i := range count {
		flags := os.O_RDONLY
		if i%names%5 == 0 {
			flags = os.O_RDWR
		}
		f, err := os.OpenFile(o.at(fmt.Sprintf("d%d/f%d", i%names%20, i%names)), flags, 0)
		if err != nil {
			t.Fatalf("%d are open: %v", i, err)
		}
		files = append(files, f)
	}
	for i, f := range files {
		var b [8]byte
		if n, _ := f.ReadAt(b[:], 0); string(b[:n]) != fmt.Sprint(i%names) {
			t.Fatalf("file %d reads %q", i, b[:n])
		}
	}
}

// Every open file without a name is a descriptor of the server. When there are no more, a name
// cannot be removed, rather than that what is open is lost.
func TestFewDescriptors(t *testing.T) {
	const count = 300
	o := newTryOut(t, fstest.TmpfsDir(t), 1)
	o.Files = 128
	for i := range count {
		put(t, fmt.Sprint(o.Lowers[0], "/f", i), fmt.Sprint("low", i))
	}
	defer start(t, o.job)()
	open := map[string]*os.File{}
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	kept := 0
	for i := range count {
		name := fmt.Sprint("f", i)
		f, err := os.Open(o.at(name))
		must(t, err)
		open[name] = f
		if err := os.Remove(o.at(name)); err != nil {
			fails(t, "remove", err, unix.ENFILE)
			kept++
		}
	}
	if kept == 0 || kept > count-50 {
		t.Errorf("%d of %d names were kept", kept, count)
	}
	for i := range count {
		var b [8]byte
		if n, err := open[fmt.Sprint("f", i)].ReadAt(b[:], 0); string(b[:n]) != fmt.Sprint("low", i) {
			t.Fatalf("f%d reads %q, %v", i, b[:n], err)
		}
	}
	for name, f := range open {
		f.Close()
		delete(open, name)
	}
	// They are forgotten when the kernel comes to it.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := os.RemoveAll(o.Target + "/f" + fmt.Sprint(count-1)); err == nil || time.Now().After(end) {
			must(t, err)
			break
		}
	}
	must(t, os.WriteFile(o.at("new"), []byte("new"), 0o644))
	o.reads(t, "new", "new")
}

// A store that was copied has other inode numbers: what an index says by the old ones is
// about other files.
func TestIndexOfOtherLayers(t *testing.T) {
	o := newTryOut(t, fstest.TmpfsDir(t), 1)
	low := o.Lowers[0]
	fill := func() {
		for _, pair := range []string{"a", "b"} {
			put(t, low+"/"+pair+"1", pair)
			must(t, os.Link(low+"/"+pair+"1", low+"/"+pair+"2"))
		}
	}
	fill()
	stop := start(t, o.job)
	must(t, appendTo(o.at("a1"), "+"))
	o.reads(t, "a2", "a+")
	stop()
	index, err := filepath.Glob(o.Work + "/links-*/*")
	must(t, err)
	if len(index) != 1 {
		t.Fatalf("the index has %v", index)
	}
	must(t, os.Rename(low, low+".old"))
	must(t, os.Mkdir(low, 0o755))
	fill()
	var st unix.Stat_t
	must(t, unix.Stat(low+"/b1", &st))
	must(t, os.Rename(index[0], fmt.Sprintf("%s/%x", filepath.Dir(index[0]), st.Ino))) // as chance could have it

	defer start(t, o.job)()
	o.reads(t, "a1", "a+")
	o.reads(t, "b1", "b")
	o.reads(t, "b2", "b")
}

// The server is killed under load: who works in the mount gets errors and goes on, and
// the kernel's overlay shows from the upper what had been written.
func TestKilledUnderLoad(t *testing.T) {
	o := newTryOut(t, fstest.DiskDir(t), 1)
	for i := range 200 {
		put(t, fmt.Sprintf("%s/dir/f%d", o.Lowers[0], i), "text")
	}
	cmd, _ := serve(t, o.job)
	var group sync.WaitGroup
	var done [4]atomic.Int32 // files that are complete, of each
	ends := make(chan error, len(done))
	for w := range done {
		group.Go(func() {
			for i := 0; ; i++ {
				name := o.at(fmt.Sprintf("w%d-%d", w, i))
				err := os.WriteFile(name+".new", []byte("whole"), 0o644)
				if err == nil {
					err = os.Rename(name+".new", name)
				}
				if err == nil {
					done[w].Add(1)
					err = appendTo(o.at(fmt.Sprintf("dir/f%d", (i*4+w)%200)), "+")
				}
				if err != nil {
					ends <- err
					return
				}
			}
		})
	}
	time.Sleep(150 * time.Millisecond)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for range done {
		select {
		case err := <-ends:
			fails(t, "after the kill", err, unix.ENOTCONN, unix.ECONNABORTED)
		case <-time.After(20 * time.Second):
			t.Fatal("who worked in the mount hangs")
		}
	}
	group.Wait()
	must(t, unix.Unmount(o.Target, unix.MNT_DETACH))
	check := func() {
		t.Helper()
		for w := range done {
			for i := range done[w].Load() {
				o.reads(t, fmt.Sprintf("w%d-%d", w, i), "whole")
			}
		}
		for i := range 200 {
			b, err := os.ReadFile(o.at(fmt.Sprintf("dir/f%d", i)))
			if err != nil || strings.TrimRight(string(b), "+") != "text" {
				t.Errorf("f%d reads %q, %v", i, b, err)
			}
		}
	}
	if err := unix.Mount("overlay", o.Target, "overlay", 0, "userxattr,lowerdir="+o.Lowers[0]+",upperdir="+o.Upper+",workdir="+o.Work); err != nil {
		t.Logf("the kernel's overlay cannot be asked: %v", err)
	} else {
		check()
		must(t, unix.Unmount(o.Target, unix.MNT_DETACH))
	}
	defer start(t, o.job)()
	check()
	left, err := filepath.Glob(o.Work + "/#*")
	must(t, err)
	if len(left) > 0 {
		t.Errorf("the work directory was not cleaned: %v", left)
	}
}

// Marks of overlayfs that make no sense are none, and take no file away.
func TestCorruptMarks(t *testing.T) {
	o := newTryOut(t, fstest.DiskDir(t), 2)
	marks := map[string][2]string{
		"long":     {"user.overlay.opaque", "yes"},
		"empty":    {"user.overlay.opaque", ""},
		"unknown":  {"user.overlay.opaque", "q"},
		"redirect": {"user.overlay.redirect", "/../../etc"},
		"white":    {"user.overlay.whiteout", "y"},
		"origin":   {"user.overlay.origin", "\xfb\xff"},
		"impure":   {"user.overlay.impure", strings.Repeat("y", 300)},
	}
	for name, m := range marks {
		put(t, o.Lowers[0]+"/"+name+"/top", "top")
		put(t, o.Lowers[1]+"/"+name+"/low", "low")
		must(t, unix.Setxattr(o.Lowers[0]+"/"+name, m[0], []byte(m[1]), 0))
	}
	// An empty file with a mark is a whiteout only where its directory says so; metacopy means nothing here.
	for name, mark := range map[string]string{"file": "user.overlay.whiteout", "meta": "user.overlay.metacopy"} {
		put(t, o.Lowers[0]+"/"+name, "")
		must(t, unix.Setxattr(o.Lowers[0]+"/"+name, mark, []byte("y"), 0))
	}
	put(t, o.Lowers[0]+"/.wh.a", "no whiteout")
	put(t, o.Lowers[0]+"/.wh..wh..opq", "")
	put(t, o.Lowers[1]+"/a", "a")
	put(t, o.Lowers[1]+"/one", "linked")
	must(t, os.Link(o.Lowers[1]+"/one", o.Lowers[1]+"/two"))

	stop := start(t, o.job)
	for name := range marks {
		o.reads(t, name+"/top", "top")
		o.reads(t, name+"/low", "low")
		must(t, os.WriteFile(o.at(name+"/new"), nil, 0o644))
	}
	o.reads(t, "file", "")
	o.reads(t, "meta", "")
	o.reads(t, "a", "a")
	o.reads(t, ".wh.a", "no whiteout")
	must(t, os.Remove(o.at("a")))
	must(t, os.Remove(o.at(".wh.a")))
	must(t, appendTo(o.at("one"), "+"))
	stop()

	index, err := filepath.Glob(o.Work + "/links-*/*")
	must(t, err)
	if len(index) != 1 {
		t.Fatalf("the index has %v", index)
	}
	for _, value := range []string{"", "U", "U+", "X5", "U+99999999999999999999"} {
		must(t, unix.Setxattr(index[0], "user.overlay.nlink", []byte(value), 0))
		stop = start(t, o.job)
		o.reads(t, "two", "linked+")
		var st unix.Stat_t
		must(t, unix.Stat(o.at("two"), &st))
		if st.Nlink < 1 || st.Nlink > 3 {
			t.Errorf("with nlink %q, it has %d links", value, st.Nlink)
		}
		for _, name := range []string{"a", ".wh.a"} {
			if _, err := os.Lstat(o.at(name)); !errors.Is(err, unix.ENOENT) {
				t.Errorf("%s: %v", name, err)
			}
		}
		stop()
	}
	// A mark that the upper's root cannot have.
	must(t, unix.Setxattr(o.Upper, "user.overlay.opaque", []byte("junk"), 0))
	defer start(t, o.job)()
	o.reads(t, "long/low", "low")
}
