package fstest

import "golang.org/x/sys/unix"

// What is hidden stays hidden, and can be made anew.
func whiteoutCases() []Case {
	f := Layers{{File("f", "below"), File("g", "other")}}
	d := Layers{{File("d/f", "below"), File("d/g", "other")}}
	return []Case{
		{Name: "whiteout/hides a file", Layers: Layers{{Whiteout("f")}, {File("f", "below")}}, run: func(c *C) {
			c.absent("f")
			c.names("")
			_, err := c.try("f", unix.O_RDONLY, 0)
			c.fails(err, unix.ENOENT)
		}},
		{Name: "whiteout/hides a directory and all in it", Layers: Layers{{Whiteout("d")}, {File("d/f", "below")}}, run: func(c *C) {
			c.absent("d", "d/f")
			c.names("")
		}},
		{Name: "whiteout/hides a symlink", Layers: Layers{{Whiteout("s")}, {Symlink("s", "f"), File("f", "x")}}, run: func(c *C) {
			c.absent("s")
			c.names("", "f")
		}},
		{Name: "whiteout/hides several layers", Layers: Layers{{Whiteout("f")}, {File("f", "1")}, {File("f", "2")}}, run: func(c *C) {
			c.absent("f")
		}},
		{Name: "whiteout/is hidden by a file above", Layers: Layers{{File("f", "top")}, {Whiteout("f")}, {File("f", "below")}}, run: func(c *C) {
			c.content("f", "top")
			c.names("", "f")
		}},
		{Name: "whiteout/of nothing is not shown", Layers: Layers{{Whiteout("never"), File("f", "x")}, {}}, run: func(c *C) {
			c.absent("never")
			c.names("", "f")
		}},
		{Name: "whiteout/a directory above one is not merged", Layers: Layers{{File("d/new", "x")}, {Whiteout("d")}, {File("d/old", "y")}}, run: func(c *C) {
			c.names("d", "new")
			c.absent("d/old")
		}},
		{Name: "whiteout/in a merged directory", Layers: Layers{{Whiteout("d/f")}, {File("d/f", "x"), File("d/g", "y")}}, run: func(c *C) {
			c.names("d", "g")
			c.absent("d/f")
		}},
		{Name: "whiteout/xattr form", Layers: Layers{{XWhiteouts("d"), XWhiteout("d/f")}, {File("d/f", "x"), File("d/g", "y")}}, run: func(c *C) {
			c.absent("d/f")
			c.names("d", "g")
		}},
		{Name: "whiteout/xattr form leaves the directory merged", Layers: Layers{{XWhiteouts("d"), File("d/h", "z")}, {File("d/g", "y")}}, run: func(c *C) {
			c.names("d", "g", "h")
		}},
		{Name: "whiteout/an empty file is none", Layers: Layers{{XWhiteouts("d"), File("d/f", "")}, {File("d/f", "x")}}, run: func(c *C) {
			c.names("d", "f")
			c.content("d/f", "")
		}},
		{Name: "whiteout/unlink hides a file", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.absent("f")
			c.names("", "g")
		}},
		{Name: "whiteout/unlink twice", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.fails(unix.Unlink(c.p("f")), unix.ENOENT)
		}},
		{Name: "whiteout/then a file again", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.write("f", "new")
			c.content("f", "new")
			c.names("", "f", "g")
		}},
		{Name: "whiteout/then a file exclusively", Layers: f, run: func(c *C) {
			_, err := c.try("f", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
			c.fails(err, unix.EEXIST)
			c.ok(unix.Unlink(c.p("f")))
			c.open("f", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
			c.mode("f", 0o600)
		}},
		{Name: "whiteout/then a directory, which is empty", Layers: d, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/f")))
			c.ok(unix.Unlink(c.p("d/g")))
			c.ok(unix.Rmdir(c.p("d")))
			c.mkdir("d")
			c.names("d")
			c.absent("d/f", "d/g")
		}},
		{Name: "whiteout/then a symlink", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.ok(unix.Symlink("g", c.p("f")))
			c.content("f", "other")
		}},
		{Name: "whiteout/then a fifo", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.ok(unix.Mkfifo(c.p("f"), 0o600))
			c.eq("type", c.stat("f").Mode&unix.S_IFMT, uint32(unix.S_IFIFO))
		}},
		{Name: "whiteout/then a hardlink", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.ok(unix.Link(c.p("g"), c.p("f")))
			c.content("f", "other")
		}},
		{Name: "whiteout/again and again", Layers: f, run: func(c *C) {
			for range 20 {
				c.ok(unix.Unlink(c.p("f")))
				c.absent("f")
				c.write("f", "x")
			}
			c.content("f", "x")
		}},
		{Name: "whiteout/file replaced by a directory and back", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.mkdir("f")
			c.write("f/in", "x")
			c.ok(unix.Unlink(c.p("f/in")))
			c.ok(unix.Rmdir(c.p("f")))
			c.write("f", "file")
			c.content("f", "file")
		}},
		{Name: "whiteout/directory replaced by a file and back", Layers: d, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/f")))
			c.ok(unix.Unlink(c.p("d/g")))
			c.ok(unix.Rmdir(c.p("d")))
			c.write("d", "file")
			c.content("d", "file")
			c.ok(unix.Unlink(c.p("d")))
			c.mkdir("d")
			c.names("d")
			c.write("d/f", "new")
			c.content("d/f", "new")
		}},
		{Name: "whiteout/directory of an upper layer replaced by a file of a higher", Layers: Layers{{File("d", "file")}, {File("d/f", "x")}}, run: func(c *C) {
			c.content("d", "file")
			var st unix.Stat_t
			c.fails(unix.Lstat(c.p("d/f"), &st), unix.ENOTDIR)
		}},
		{Name: "whiteout/rmdir of what is not empty", Layers: d, run: func(c *C) {
			c.fails(unix.Rmdir(c.p("d")), unix.ENOTEMPTY, unix.EEXIST)
			c.ok(unix.Unlink(c.p("d/f")))
			c.fails(unix.Rmdir(c.p("d")), unix.ENOTEMPTY, unix.EEXIST)
			c.names("d", "g")
		}},
		{Name: "whiteout/rmdir of a directory emptied by a layer", Layers: Layers{{Whiteout("d/f")}, {File("d/f", "x")}}, run: func(c *C) {
			c.ok(unix.Rmdir(c.p("d")))
			c.absent("d")
		}},
		{Name: "whiteout/device 0:0 cannot be made by hand and seen", Layers: f, need: asRoot, run: func(c *C) {
			// overlayfs.rst: whiteouts are not to be created in an overlay. Either it
			// is refused or the name is hidden or shown, but g must not suffer.
			_ = unix.Mknod(c.p("dev"), unix.S_IFCHR|0o600, 0)
			c.content("g", "other")
		}},
	}
}

// Directories of several layers are one.
func mergeCases() []Case {
	two := Layers{{File("d/a", "top"), File("d/both", "top")}, {File("d/b", "below"), File("d/both", "below")}}
	return []Case{
		{Name: "merge/names of all layers", Layers: two, run: func(c *C) {
			c.names("d", "a", "b", "both")
		}},
		{Name: "merge/the topmost wins", Layers: two, run: func(c *C) {
			c.content("d/both", "top")
			c.content("d/b", "below")
		}},
		{Name: "merge/attributes of the topmost directory", Layers: Layers{{Dir("d").Mode(0o750).Mtime(1234, 5)}, {Dir("d").Mode(0o700), File("d/f", "x")}}, run: func(c *C) {
			c.mode("d", 0o750)
			c.eq("mtime", c.stat("d").Mtim, unix.Timespec{Sec: 1234, Nsec: 5})
			c.names("d", "f")
		}},
		{Name: "merge/a file hides a directory", Layers: Layers{{File("x", "f")}, {File("x/y", "z")}}, run: func(c *C) {
			c.content("x", "f")
		}},
		{Name: "merge/a directory hides a file", Layers: Layers{{Dir("x")}, {File("x", "f")}}, run: func(c *C) {
			c.names("x")
		}},
		{Name: "merge/a file between stops it", Layers: Layers{{File("x/top", "1")}, {File("x", "file")}, {File("x/low", "2")}}, run: func(c *C) {
			c.names("x", "top")
		}},
		{Name: "merge/opaque hides what is below", Layers: Layers{{Opaque("d"), File("d/a", "1")}, {File("d/b", "2")}}, run: func(c *C) {
			c.names("d", "a")
			c.absent("d/b")
		}},
		{Name: "merge/opaque does not hide what is above", Layers: Layers{{File("d/a", "1")}, {Opaque("d"), File("d/b", "2")}, {File("d/c", "3")}}, run: func(c *C) {
			c.names("d", "a", "b")
		}},
		{Name: "merge/opaque is for the directory only", Layers: Layers{{Opaque("d/e")}, {File("d/f", "1"), File("d/e/g", "2")}}, run: func(c *C) {
			c.names("d", "e", "f")
			c.names("d/e")
		}},
		{Name: "merge/opaque root", Layers: Layers{{Opaque("."), File("a", "1")}, {File("b", "2")}}, run: func(c *C) {
			c.names("", "a")
		}},
		{Name: "merge/overlay marks are not shown", Layers: Layers{{Opaque("d").Xattr("user.seen", "1")}, {Dir("d")}}, run: func(c *C) {
			c.eq("xattrs", listXattrs(c.p("d")), []string{"user.seen"})
			_, err := getXattr(c.p("d"), "user.overlay.opaque")
			c.fails(err, unix.ENODATA, unix.EOPNOTSUPP, unix.EPERM)
		}},
		{Name: "merge/three levels in three layers", Layers: Layers{{File("a/b/c/1", "1")}, {File("a/b/c/2", "2")}, {File("a/b/c/3", "3")}}, run: func(c *C) {
			c.names("a/b/c", "1", "2", "3")
			c.names("a/b", "c")
		}},
		{Name: "merge/a new name in a merged directory", Layers: two, run: func(c *C) {
			c.write("d/new", "n")
			c.names("d", "a", "b", "both", "new")
		}},
		{Name: "merge/mkdir over what exists", Layers: two, run: func(c *C) {
			c.fails(unix.Mkdir(c.p("d"), 0o755), unix.EEXIST)
			c.fails(unix.Mkdir(c.p("d/a"), 0o755), unix.EEXIST)
		}},
		{Name: "merge/a directory removed and made anew is not merged", Layers: Layers{{File("d/e/f", "1")}}, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/e/f")))
			c.ok(unix.Rmdir(c.p("d/e")))
			c.mkdir("d/e")
			c.names("d/e")
			c.write("d/e/g", "x")
			c.names("d/e", "g")
		}},
		{Name: "merge/symlink to a directory is no directory", Layers: Layers{{Symlink("d", "e")}, {File("d/f", "1"), File("e/g", "2")}}, run: func(c *C) {
			c.names("d", "g")
			c.eq("type", c.stat("d").Mode&unix.S_IFMT, uint32(unix.S_IFLNK))
		}},
	}
}
