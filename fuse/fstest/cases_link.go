package fstest

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Several names for one file.
func linkCases() []Case {
	lower := Layers{{File("a", "data"), Link("b", "a"), File("d/c", "other")}}
	same := func(c *C, x, y string) {
		a, b := c.stat(x), c.stat(y)
		c.eq("st_ino of "+x+" and "+y, a.Ino, b.Ino)
		c.eq("st_dev", a.Dev, b.Dev)
	}
	return []Case{
		{Name: "link/new file", Layers: lower, run: func(c *C) {
			c.write("n", "x")
			c.ok(unix.Link(c.p("n"), c.p("m")))
			same(c, "n", "m")
			c.eq("nlink", uint64(c.stat("n").Nlink), uint64(2))
			c.append("m", "y")
			c.content("n", "xy")
		}},
		{Name: "link/file of a layer", Layers: lower, run: func(c *C) {
			c.ok(unix.Link(c.p("d/c"), c.p("l")))
			same(c, "d/c", "l")
			c.content("l", "other")
			c.append("l", "+")
			c.content("d/c", "other+")
		}},
		{Name: "link/counts", Layers: lower, run: func(c *C) {
			c.eq("nlink", uint64(c.stat("a").Nlink), uint64(2))
			c.eq("nlink", uint64(c.stat("d/c").Nlink), uint64(1))
			c.ok(unix.Link(c.p("d/c"), c.p("l")))
			c.eq("nlink", uint64(c.stat("l").Nlink), uint64(2))
			c.ok(unix.Unlink(c.p("d/c")))
			c.eq("nlink", uint64(c.stat("l").Nlink), uint64(1))
		}},
		{Name: "link/names of a layer are one file", Layers: lower, run: func(c *C) {
			same(c, "a", "b")
		}},
		{Name: "link/names of a layer stay one file when written", Layers: lower, run: func(c *C) {
			c.append("a", "+")
			c.content("b", "data+")
			same(c, "a", "b")
		}},
		{Name: "link/names of a layer stay one file when chmodded", Layers: lower, run: func(c *C) {
			c.ok(unix.Chmod(c.p("b"), 0o600))
			c.mode("a", 0o600)
		}},
		{Name: "link/writing one name never loses the other's data", Layers: lower, run: func(c *C) {
			c.append("a", "+")
			c.content("a", "data+")
			c.ok(unix.Unlink(c.p("a")))
			got := c.stat("b").Size
			c.yes("b is whole", got == 4 || got == 5)
		}},
		{Name: "link/unlink one name", Layers: lower, run: func(c *C) {
			c.ok(unix.Unlink(c.p("a")))
			c.content("b", "data")
			c.absent("a")
		}},
		{Name: "link/over what exists", Layers: lower, run: func(c *C) {
			c.fails(unix.Link(c.p("a"), c.p("d/c")), unix.EEXIST)
			c.content("d/c", "other")
		}},
		{Name: "link/of a directory", Layers: lower, run: func(c *C) {
			c.fails(unix.Link(c.p("d"), c.p("e")), unix.EPERM)
		}},
		{Name: "link/of nothing", Layers: lower, run: func(c *C) {
			c.fails(unix.Link(c.p("none"), c.p("e")), unix.ENOENT)
		}},
		{Name: "link/to a symlink, not what it says", Layers: Layers{{Symlink("s", "f"), File("f", "x")}}, run: func(c *C) {
			c.ok(unix.Linkat(unix.AT_FDCWD, c.p("s"), unix.AT_FDCWD, c.p("t"), 0))
			c.eq("type", c.stat("t").Mode&unix.S_IFMT, uint32(unix.S_IFLNK))
		}},
		{Name: "link/follows when asked", Layers: Layers{{Symlink("s", "f"), File("f", "x")}}, run: func(c *C) {
			c.ok(unix.Linkat(unix.AT_FDCWD, c.p("s"), unix.AT_FDCWD, c.p("t"), unix.AT_SYMLINK_FOLLOW))
			c.eq("type", c.stat("t").Mode&unix.S_IFMT, uint32(unix.S_IFREG))
		}},
		{Name: "link/across directories of layers", Layers: Layers{{File("x/f", "1")}, {File("y/g", "2")}}, run: func(c *C) {
			c.ok(unix.Link(c.p("x/f"), c.p("y/f")))
			c.content("y/f", "1")
			c.names("y", "f", "g")
		}},
		{Name: "link/nlink of a directory", Layers: Layers{{Dir("d/a"), Dir("d/b")}}, run: func(c *C) {
			n := c.stat("d").Nlink
			c.yes("is 1 (unknown) or counts its directories", n == 1 || n == 4)
		}},
	}
}

// Deleting, and what is still open.
func unlinkCases() []Case {
	f := Layers{{File("f", "below"), File("d/g", "x")}}
	return []Case{
		{Name: "unlink/open file of a layer is still readable", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.Unlink(c.p("f")))
			c.eq("read", c.pread(fd, 10, 0), "below")
			c.absent("f")
		}},
		{Name: "unlink/open new file is still writable", Layers: f, run: func(c *C) {
			fd := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			c.ok(unix.Unlink(c.p("n")))
			c.pwrite(fd, "still", 0)
			c.eq("read", c.pread(fd, 10, 0), "still")
			c.eq("nlink", uint64(c.fstat(fd).Nlink), uint64(0))
		}},
		{Name: "unlink/copied-up file is still writable", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.pwrite(fd, "X", 0)
			c.ok(unix.Unlink(c.p("f")))
			c.pwrite(fd, "Y", 1)
			c.eq("read", c.pread(fd, 10, 0), "XYlow")
			c.absent("f")
		}},
		{Name: "unlink/open fifo is still changed", Layers: f, run: func(c *C) {
			c.ok(unix.Mkfifo(c.p("p"), 0o600))
			fd := c.open("p", unix.O_RDWR, 0)
			c.ok(unix.Unlink(c.p("p")))
			c.ok(unix.Fchmod(fd, 0o640))
			c.eq("mode", c.fstat(fd).Mode, uint32(unix.S_IFIFO|0o640))
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), []unix.Timespec{{Sec: 5}, {Sec: 7}}, 0))
			c.eq("mtime", c.fstat(fd).Mtim.Sec, int64(7))
		}},
		{Name: "unlink/then make: two files", Layers: f, run: func(c *C) {
			old := c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.Unlink(c.p("f")))
			c.write("f", "new")
			c.eq("old", c.pread(old, 10, 0), "below")
			c.content("f", "new")
			c.yes("other inode", c.fstat(old).Ino != c.stat("f").Ino)
		}},
		{Name: "unlink/of a directory", Layers: f, run: func(c *C) {
			c.fails(unix.Unlink(c.p("d")), unix.EISDIR, unix.EPERM)
		}},
		{Name: "unlink/rmdir of a file", Layers: f, run: func(c *C) {
			c.fails(unix.Rmdir(c.p("f")), unix.ENOTDIR)
		}},
		{Name: "unlink/with a slash at the end", Layers: f, run: func(c *C) {
			c.fails(unix.Unlink(c.p("f/")), unix.ENOTDIR)
		}},
		{Name: "unlink/rmdir of dot", Layers: f, run: func(c *C) {
			c.fails(unix.Rmdir(c.p("d/.")), unix.EINVAL)
			c.fails(unix.Rmdir(c.p("d/..")), unix.ENOTEMPTY, unix.EBUSY)
		}},
		{Name: "unlink/open directory removed", Layers: f, run: func(c *C) {
			c.mkdir("e")
			fd := c.open("e", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.ok(unix.Rmdir(c.p("e")))
			_, err := unix.Openat(fd, "in", unix.O_CREAT|unix.O_WRONLY, 0o600)
			c.fails(err, unix.ENOENT)
		}},
		{Name: "unlink/a merged directory with all in it", Layers: Layers{{File("d/a/b/1", "1")}, {File("d/a/b/2", "2"), File("d/c", "3")}}, run: func(c *C) {
			for _, n := range []string{"d/a/b/1", "d/a/b/2", "d/c"} {
				c.ok(unix.Unlink(c.p(n)))
			}
			for _, n := range []string{"d/a/b", "d/a", "d"} {
				c.ok(unix.Rmdir(c.p(n)))
			}
			c.names("")
		}},
		{Name: "unlink/missing", Layers: f, run: func(c *C) {
			c.fails(unix.Unlink(c.p("none")), unix.ENOENT)
			c.fails(unix.Rmdir(c.p("none")), unix.ENOENT)
		}},
		{Name: "unlink/mtime of the directory changes", Layers: f, run: func(c *C) {
			before := c.stat("d").Mtim
			c.ok(unix.Unlink(c.p("d/g")))
			c.yes("mtime changed", c.stat("d").Mtim != before)
		}},
	}
}
