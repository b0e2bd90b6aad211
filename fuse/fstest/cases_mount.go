package fstest

import "golang.org/x/sys/unix"

// A read-only tree, without any upper directory.
func readOnlyCases() []Case {
	two := Layers{{File("f", "top"), Dir("d"), Symlink("s", "f"), Whiteout("gone")}, {File("d/g", "below"), File("gone", "x")}}
	one := Layers{{File("f", "only"), File("d/g", "x")}}
	try := func(c *C) {
		_, err := c.try("f", unix.O_RDWR, 0)
		c.fails(err, unix.EROFS)
		_, err = c.try("new", unix.O_CREAT|unix.O_WRONLY, 0o600)
		c.fails(err, unix.EROFS)
		for _, err := range []error{
			unix.Chmod(c.p("f"), 0o600), unix.Unlink(c.p("f")), unix.Mkdir(c.p("new"), 0o755), c.rename("f", "new"),
			unix.Truncate(c.p("f"), 0), c.setxattr("f", "user.x", "y"), unix.Symlink("x", c.p("new")), unix.Link(c.p("f"), c.p("new")),
			unix.Rmdir(c.p("d")), unix.UtimesNanoAt(unix.AT_FDCWD, c.p("f"), []unix.Timespec{{}, {}}, 0), unix.Chown(c.p("f"), c.id.uid, c.id.gid),
			unix.Access(c.p("f"), unix.W_OK),
		} {
			c.fails(err, unix.EROFS)
		}
	}
	return []Case{
		{Name: "read-only/layers are merged", Layers: two, need: readOnly, run: func(c *C) {
			c.content("f", "top")
			c.content("d/g", "below")
			c.content("s", "top")
			c.absent("gone")
			c.names("", "d", "f", "s")
		}},
		{Name: "read-only/nothing can be written", Layers: two, need: readOnly, run: try},
		{Name: "read-only/one layer", Layers: one, need: readOnly, run: func(c *C) {
			c.content("f", "only")
			c.names("", "d", "f")
		}},
		{Name: "read-only/one layer, nothing can be written", Layers: one, need: readOnly, run: try},
		{Name: "read-only/statfs says so", Layers: two, need: readOnly, run: func(c *C) {
			var st unix.Statfs_t
			c.ok(unix.Statfs(c.p(""), &st))
			c.yes("ST_RDONLY", st.Flags&unix.ST_RDONLY != 0)
		}},
		{Name: "read-only/O_CREAT of what exists", Layers: two, need: readOnly, run: func(c *C) {
			c.open("f", unix.O_CREAT|unix.O_RDONLY, 0o600)
			_, err := c.try("f", unix.O_RDONLY|unix.O_TRUNC, 0)
			c.fails(err, unix.EROFS)
			c.content("f", "top")
		}},
		{Name: "read-only/what is missing is missing", Layers: two, need: readOnly, run: func(c *C) {
			_, err := c.try("none", unix.O_RDONLY, 0)
			c.fails(err, unix.ENOENT)
		}},
		{Name: "read-only/fifos can be written", Layers: Layers{{Fifo("p").Mode(0o666)}, {}}, need: readOnly, run: func(c *C) {
			_, err := unix.Write(c.open("p", unix.O_RDWR|unix.O_NONBLOCK, 0), []byte("x"))
			c.ok(err)
		}},
		{Name: "read-only/200 layers", Layers: many200(), need: readOnly, run: func(c *C) {
			c.eq("names", len(c.list("")), 200)
		}},
		{Name: "read-only/mounted again", Layers: two, need: readOnly, run: func(c *C) {
			c.remount()
			c.content("d/g", "below")
		}},
	}
}

func many200() (l Layers) {
	for i := range 200 {
		l = append(l, Layer{File("f"+itoa(i), "")})
	}
	return l
}

// Changes are there when the container is started again.
func remountCases() []Case {
	f := Layers{{File("f", "top"), File("d/a", "1"), File("h", "x"), Link("i", "h")}, {File("d/b", "2"), File("g", "below")}}
	return []Case{
		{Name: "remount/nothing done", Layers: f, run: func(c *C) {
			c.remount()
			c.content("f", "top")
			c.names("d", "a", "b")
		}},
		{Name: "remount/data", Layers: f, run: func(c *C) {
			c.write("new", "n")
			c.append("g", "+")
			c.remount()
			c.content("new", "n")
			c.content("g", "below+")
		}},
		{Name: "remount/deletions", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("g")))
			c.ok(unix.Unlink(c.p("d/a")))
			c.remount()
			c.absent("g", "d/a")
			c.names("d", "b")
			c.names("", "d", "f", "h", "i")
		}},
		{Name: "remount/directory removed and made anew", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/a")))
			c.ok(unix.Unlink(c.p("d/b")))
			c.ok(unix.Rmdir(c.p("d")))
			c.mkdir("d")
			c.write("d/new", "x")
			c.remount()
			c.names("d", "new")
		}},
		{Name: "remount/attributes", Layers: f, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o4750))
			c.ok(c.setxattr("d", "user.k", "v"))
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, c.p("g"), []unix.Timespec{{Sec: 1}, {Sec: 2, Nsec: 3}}, 0))
			c.remount()
			c.mode("f", 0o4750)
			c.xattr("d", "user.k", "v")
			c.eq("mtime", c.stat("g").Mtim, unix.Timespec{Sec: 2, Nsec: 3})
		}},
		{Name: "remount/renames", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "d/f"))
			c.ok(c.rename("g", "f"))
			c.remount()
			c.content("d/f", "top")
			c.content("f", "below")
			c.absent("g")
		}},
		{Name: "remount/new hardlinks", Layers: f, run: func(c *C) {
			c.write("n", "x")
			c.ok(unix.Link(c.p("n"), c.p("m")))
			c.remount()
			c.eq("inode", c.stat("n").Ino, c.stat("m").Ino)
			c.append("m", "y")
			c.content("n", "xy")
		}},
		{Name: "remount/special files", Layers: f, run: func(c *C) {
			c.ok(unix.Mkfifo(c.p("p"), 0o600))
			c.ok(unix.Symlink("f", c.p("s")))
			c.remount()
			c.eq("fifo", c.stat("p").Mode&unix.S_IFMT, uint32(unix.S_IFIFO))
			c.content("s", "top")
		}},
		{Name: "remount/deleted, remounted, made again", Layers: f, run: func(c *C) {
			c.ok(unix.Unlink(c.p("f")))
			c.remount()
			c.absent("f")
			c.write("f", "again")
			c.remount()
			c.content("f", "again")
		}},
		{Name: "remount/three times", Layers: f, run: func(c *C) {
			for i := range 3 {
				c.append("f", itoa(i))
				c.remount()
			}
			c.content("f", "top012")
		}},
		{Name: "remount/inode numbers stay", Layers: f, run: func(c *C) {
			c.write("new", "n")
			before := c.stat("new").Ino
			c.remount()
			c.eq("inode", c.stat("new").Ino, before)
		}},
	}
}
