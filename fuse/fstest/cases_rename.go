package fstest

import "golang.org/x/sys/unix"

// Renaming files.
func renameCases() []Case {
	f := Layers{{File("f", "below").Mode(0o640).Xattr("user.k", "v"), File("g", "other"), File("d/h", "deep"), Symlink("s", "f")}}
	return []Case{
		{Name: "rename/file of a layer", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "n"))
			c.absent("f")
			c.content("n", "below")
			c.mode("n", 0o640)
			c.xattr("n", "user.k", "v")
			c.names("", "d", "g", "n", "s")
		}},
		{Name: "rename/over a file of a layer", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "g"))
			c.absent("f")
			c.content("g", "below")
		}},
		{Name: "rename/new file over a file of a layer", Layers: f, run: func(c *C) {
			c.write("n", "new")
			c.ok(c.rename("n", "f"))
			c.content("f", "new")
			c.absent("n")
		}},
		{Name: "rename/file of a layer over a new file", Layers: f, run: func(c *C) {
			c.write("n", "new")
			c.ok(c.rename("f", "n"))
			c.content("n", "below")
			c.absent("f")
		}},
		{Name: "rename/into another directory", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "d/f"))
			c.content("d/f", "below")
			c.names("d", "f", "h")
			c.absent("f")
		}},
		{Name: "rename/there and back", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "n"))
			c.ok(c.rename("n", "f"))
			c.content("f", "below")
			c.absent("n")
		}},
		{Name: "rename/onto a name that was deleted", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("g")))
			c.ok(c.rename("f", "g"))
			c.content("g", "below")
			c.names("", "d", "g", "s")
		}},
		{Name: "rename/onto itself", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "f"))
			c.content("f", "below")
		}},
		{Name: "rename/between two names of one file does nothing", Layers: f, run: func(c *C) {
			c.write("n", "x")
			c.ok(unix.Link(c.p("n"), c.p("m")))
			c.ok(c.rename("n", "m"))
			c.content("n", "x")
			c.content("m", "x")
		}},
		{Name: "rename/a symlink moves the symlink", Layers: f, run: func(c *C) {
			c.ok(c.rename("s", "t"))
			c.eq("type", c.stat("t").Mode&unix.S_IFMT, uint32(unix.S_IFLNK))
			c.content("t", "below")
			c.content("f", "below")
		}},
		{Name: "rename/file over a directory", Layers: f, run: func(c *C) {
			c.fails(c.rename("f", "d"), unix.EISDIR)
			c.content("d/h", "deep")
		}},
		{Name: "rename/missing", Layers: f, run: func(c *C) {
			c.fails(c.rename("none", "x"), unix.ENOENT)
			c.fails(c.rename("f", "none/x"), unix.ENOENT)
			c.fails(c.rename("f", "g/x"), unix.ENOTDIR)
			c.content("f", "below")
		}},
		{Name: "rename/open file goes on", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.ok(c.rename("f", "n"))
			c.pwrite(fd, "B", 0)
			c.content("n", "Below")
		}},
		{Name: "rename/replaced file is still readable", Layers: f, run: func(c *C) {
			fd := c.open("g", unix.O_RDONLY, 0)
			c.ok(c.rename("f", "g"))
			c.eq("read", c.pread(fd, 10, 0), "other")
		}},
		{Name: "rename/NOREPLACE onto a file of a layer", Layers: f, run: func(c *C) {
			c.fails(c.rename2("f", "g", unix.RENAME_NOREPLACE), unix.EEXIST)
			c.content("f", "below")
			c.content("g", "other")
		}},
		{Name: "rename/NOREPLACE onto nothing", Layers: f, run: func(c *C) {
			c.ok(c.rename2("f", "n", unix.RENAME_NOREPLACE))
			c.content("n", "below")
		}},
		{Name: "rename/NOREPLACE onto a deleted name", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("g")))
			c.ok(c.rename2("f", "g", unix.RENAME_NOREPLACE))
			c.content("g", "below")
		}},
		{Name: "rename/EXCHANGE files of a layer", Layers: f, run: func(c *C) {
			c.ok(c.rename2("f", "g", unix.RENAME_EXCHANGE))
			c.content("f", "other")
			c.content("g", "below")
			c.mode("g", 0o640)
		}},
		{Name: "rename/EXCHANGE a new file and one of a layer", Layers: f, run: func(c *C) {
			c.write("n", "new")
			c.ok(c.rename2("n", "f", unix.RENAME_EXCHANGE))
			c.content("f", "new")
			c.content("n", "below")
		}},
		{Name: "rename/EXCHANGE with nothing", Layers: f, run: func(c *C) {
			c.fails(c.rename2("f", "none", unix.RENAME_EXCHANGE), unix.ENOENT)
		}},
		{Name: "rename/EXCHANGE a file and a new directory", Layers: f, run: func(c *C) {
			c.mkdir("n")
			c.write("n/in", "x")
			c.ok(c.rename2("n", "f", unix.RENAME_EXCHANGE))
			c.content("f/in", "x")
			c.content("n", "below")
		}},
		{Name: "rename/nonsense flags", Layers: f, run: func(c *C) {
			c.fails(c.rename2("f", "n", unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE), unix.EINVAL)
		}},
		{Name: "rename/ctime changes, mtime does not", Layers: f, run: func(c *C) {
			before := c.stat("f")
			c.ok(c.rename("f", "n"))
			after := c.stat("n")
			c.eq("mtime", after.Mtim, before.Mtim)
			c.yes("ctime", after.Ctim != before.Ctim)
		}},
		{Name: "rename/special files", Layers: Layers{{Fifo("p"), Socket("s")}}, run: func(c *C) {
			c.ok(c.rename("p", "q"))
			c.ok(c.rename("s", "t"))
			c.eq("fifo", c.stat("q").Mode&unix.S_IFMT, uint32(unix.S_IFIFO))
			c.eq("socket", c.stat("t").Mode&unix.S_IFMT, uint32(unix.S_IFSOCK))
			c.names("", "q", "t")
		}},
	}
}

// Renaming directories. One that a layer has may not be renameable: EXDEV, upon
// which every program copies (overlayfs.rst, redirect_dir).
func renameDirCases() []Case {
	d := Layers{{File("d/f", "top")}, {File("d/g", "below"), File("d/e/h", "deep"), Dir("empty")}}
	movedOrEXDEV := func(c *C, err error, from, to string, want ...string) {
		if err == nil {
			c.absent(from)
			c.names(to, want...)
			return
		}
		c.fails(err, unix.EXDEV)
		c.names(from, want...)
	}
	return []Case{
		{Name: "rename-dir/new", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.write("n/f", "x")
			c.ok(c.rename("n", "m"))
			c.content("m/f", "x")
			c.absent("n")
		}},
		{Name: "rename-dir/merged", Layers: d, run: func(c *C) {
			movedOrEXDEV(c, c.rename("d", "n"), "d", "n", "e", "f", "g")
		}},
		{Name: "rename-dir/of one layer", Layers: d, run: func(c *C) {
			movedOrEXDEV(c, c.rename("d/e", "e"), "d/e", "e", "h")
		}},
		{Name: "rename-dir/new, onto a deleted name shows nothing old", Layers: d, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/e/h")))
			c.ok(unix.Rmdir(c.p("d/e")))
			c.mkdir("n")
			c.write("n/x", "1")
			c.ok(c.rename("n", "d/e"))
			c.names("d/e", "x")
		}},
		{Name: "rename-dir/new, over an empty one of a layer", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.write("n/x", "1")
			c.ok(c.rename("n", "empty"))
			c.names("empty", "x")
			c.absent("n")
		}},
		{Name: "rename-dir/over one that is not empty", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.fails(c.rename("n", "d"), unix.ENOTEMPTY, unix.EEXIST)
			c.names("d", "e", "f", "g")
		}},
		{Name: "rename-dir/over one that was emptied", Layers: d, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/e/h")))
			c.mkdir("n")
			c.write("n/x", "1")
			c.ok(c.rename("n", "d/e"))
			c.names("d/e", "x")
		}},
		{Name: "rename-dir/over a file", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.fails(c.rename("n", "d/f"), unix.ENOTDIR)
		}},
		{Name: "rename-dir/into itself", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.fails(c.rename("n", "n/m"), unix.EINVAL)
			c.fails(c.rename("d", "d/e/d"), unix.EINVAL)
		}},
		{Name: "rename-dir/EXCHANGE new ones", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.write("n/1", "")
			c.mkdir("m")
			c.write("m/2", "")
			c.ok(c.rename2("n", "m", unix.RENAME_EXCHANGE))
			c.names("n", "2")
			c.names("m", "1")
		}},
		{Name: "rename-dir/EXCHANGE with one of a layer", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.write("n/1", "")
			if err := c.rename2("n", "d/e", unix.RENAME_EXCHANGE); err != nil {
				c.fails(err, unix.EXDEV)
				c.names("d/e", "h")
				return
			}
			c.names("d/e", "1")
			c.names("n", "h")
		}},
		{Name: "rename-dir/NOREPLACE", Layers: d, run: func(c *C) {
			c.mkdir("n")
			c.fails(c.rename2("n", "empty", unix.RENAME_NOREPLACE), unix.EEXIST)
			c.ok(c.rename2("n", "m", unix.RENAME_NOREPLACE))
		}},
		{Name: "rename-dir/parent of a new one", Layers: d, run: func(c *C) {
			c.mkdir("a")
			c.mkdir("b")
			c.mkdir("a/n")
			fd := c.open("a/n", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.ok(c.rename("a/n", "b/n"))
			var up, b unix.Stat_t
			c.ok(unix.Fstatat(fd, "..", &up, 0))
			b = c.stat("b")
			c.eq("..", up.Ino, b.Ino)
		}},
		{Name: "rename-dir/files out of a merged one", Layers: d, run: func(c *C) {
			c.ok(c.rename("d/f", "f"))
			c.ok(c.rename("d/g", "g"))
			c.names("d", "e")
			c.content("g", "below")
		}},
	}
}
