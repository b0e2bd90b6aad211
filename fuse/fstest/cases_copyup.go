package fstest

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Changing a file of a layer changes a copy of it, and nothing else about it.
func copyUpCases() []Case {
	big := strings.Repeat("0123456789abcdef", 20<<10) // 320 KiB
	one := Layers{{
		File("d/f", "below").Mode(0o640).Xattr("user.k", "v").Mtime(1_111_111_111, 222_333_444),
		File("d/g", "other"),
	}}
	return []Case{
		{Name: "copy-up/append keeps the data", Layers: one, run: func(c *C) {
			c.append("d/f", "+more")
			c.content("d/f", "below+more")
			c.content("d/g", "other")
		}},
		{Name: "copy-up/a write in the middle", Layers: one, run: func(c *C) {
			fd := c.open("d/f", unix.O_RDWR, 0)
			c.pwrite(fd, "XX", 1)
			c.eq("read", c.pread(fd, 10, 0), "bXXow")
			c.content("d/f", "bXXow")
		}},
		{Name: "copy-up/large file, one byte changed", Layers: Layers{{File("f", big)}}, run: func(c *C) {
			fd := c.open("f", unix.O_WRONLY, 0)
			c.pwrite(fd, "!", 200<<10)
			want := big[:200<<10] + "!" + big[200<<10+1:]
			c.content("f", want)
		}},
		{Name: "copy-up/truncate on open", Layers: one, run: func(c *C) {
			c.write("d/f", "new")
			c.content("d/f", "new")
			c.mode("d/f", 0o640)
		}},
		{Name: "copy-up/truncate to less", Layers: one, run: func(c *C) {
			c.ok(unix.Truncate(c.p("d/f"), 2))
			c.content("d/f", "be")
		}},
		{Name: "copy-up/truncate to more", Layers: one, run: func(c *C) {
			c.ok(unix.Truncate(c.p("d/f"), 7))
			c.content("d/f", "below\x00\x00")
		}},
		{Name: "copy-up/chmod keeps data, xattrs and mtime", Layers: one, run: func(c *C) {
			c.ok(unix.Chmod(c.p("d/f"), 0o600))
			c.mode("d/f", 0o600)
			c.content("d/f", "below")
			c.xattr("d/f", "user.k", "v")
			c.eq("mtime", c.stat("d/f").Mtim, unix.Timespec{Sec: 1_111_111_111, Nsec: 222_333_444})
		}},
		{Name: "copy-up/write keeps mode, owner and xattrs", Layers: one, run: func(c *C) {
			before := c.stat("d/f")
			c.append("d/f", "x")
			after := c.stat("d/f")
			c.eq("mode", after.Mode, before.Mode)
			c.eq("uid", after.Uid, before.Uid)
			c.eq("gid", after.Gid, before.Gid)
			c.xattr("d/f", "user.k", "v")
		}},
		{Name: "copy-up/write changes mtime", Layers: one, run: func(c *C) {
			c.append("d/f", "x")
			c.yes("mtime is about now", recent(c.stat("d/f").Mtim))
		}},
		{Name: "copy-up/setxattr keeps data and the others", Layers: one, run: func(c *C) {
			c.ok(c.setxattr("d/f", "user.new", "n"))
			c.eq("xattrs", listXattrs(c.p("d/f")), []string{"user.k", "user.new"})
			c.content("d/f", "below")
		}},
		{Name: "copy-up/removexattr", Layers: one, run: func(c *C) {
			c.ok(unix.Removexattr(c.p("d/f"), "user.k"))
			c.eq("xattrs", len(listXattrs(c.p("d/f"))), 0)
			c.content("d/f", "below")
		}},
		{Name: "copy-up/utimens keeps data", Layers: one, run: func(c *C) {
			ts := []unix.Timespec{{Sec: 5, Nsec: 6}, {Sec: 7, Nsec: 8}}
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, c.p("d/f"), ts, 0))
			c.eq("mtime", c.stat("d/f").Mtim, ts[1])
			c.eq("atime", c.stat("d/f").Atim, ts[0])
			c.content("d/f", "below")
		}},
		{Name: "copy-up/open for writing without writing", Layers: one, run: func(c *C) {
			c.close(c.open("d/f", unix.O_RDWR, 0))
			c.content("d/f", "below")
			c.eq("mtime", c.stat("d/f").Mtim, unix.Timespec{Sec: 1_111_111_111, Nsec: 222_333_444})
		}},
		{Name: "copy-up/of the directories above", Layers: Layers{{Dir("a").Mode(0o711).Mtime(99, 1), Dir("a/b").Mode(0o750).Xattr("user.d", "1").Mtime(77, 2), File("a/b/f", "x")}}, run: func(c *C) {
			c.append("a/b/f", "y")
			c.mode("a", 0o711)
			c.mode("a/b", 0o750)
			c.xattr("a/b", "user.d", "1")
			c.eq("mtime of a", c.stat("a").Mtim, unix.Timespec{Sec: 99, Nsec: 1})
			c.eq("mtime of a/b", c.stat("a/b").Mtim, unix.Timespec{Sec: 77, Nsec: 2})
		}},
		{Name: "copy-up/new file in a directory of a layer", Layers: Layers{{Dir("a/b").Mode(0o711), File("a/b/f", "x")}}, run: func(c *C) {
			c.write("a/b/new", "n")
			c.mode("a/b", 0o711)
			c.names("a/b", "f", "new")
		}},
		{Name: "copy-up/chmod of a directory keeps what is in it", Layers: one, run: func(c *C) {
			c.ok(unix.Chmod(c.p("d"), 0o700))
			c.mode("d", 0o700)
			c.names("d", "f", "g")
			c.content("d/f", "below")
		}},
		{Name: "copy-up/xattr of a directory", Layers: one, run: func(c *C) {
			c.ok(c.setxattr("d", "user.x", "y"))
			c.xattr("d", "user.x", "y")
			c.names("d", "f", "g")
		}},
		{Name: "copy-up/of the root directory", Layers: one, run: func(c *C) {
			c.ok(unix.Chmod(c.p(""), 0o711))
			c.mode("", 0o711)
			c.names("", "d")
		}},
		{Name: "copy-up/symlink", Layers: Layers{{Symlink("s", "some/where"), File("f", "x")}}, run: func(c *C) {
			c.ok(unix.Lchown(c.p("s"), c.id.uid, c.id.gid))
			to, err := os.Readlink(c.p("s"))
			c.ok(err)
			c.eq("symlink", to, "some/where")
		}},
		{Name: "copy-up/from the right one of several layers", Layers: Layers{{}, {File("f", "second")}, {File("f", "third")}}, run: func(c *C) {
			c.append("f", "+")
			c.content("f", "second+")
		}},
		{Name: "copy-up/through an O_RDONLY descriptor's fchmod", Layers: one, run: func(c *C) {
			fd := c.open("d/f", unix.O_RDONLY, 0)
			c.ok(unix.Fchmod(fd, 0o604))
			c.mode("d/f", 0o604)
			c.eq("fstat", c.fstat(fd).Mode&0o7777, uint32(0o604))
		}},
		{Name: "copy-up/descriptor opened before sees later writes", Layers: one, run: func(c *C) {
			fd := c.open("d/f", unix.O_RDONLY, 0)
			c.append("d/f", "+more")
			c.eq("read", c.pread(fd, 20, 0), "below+more")
		}},
		{Name: "copy-up/inode number stays", Layers: one, run: func(c *C) {
			before := c.stat("d/f")
			c.append("d/f", "x")
			after := c.stat("d/f")
			c.eq("st_ino", after.Ino, before.Ino)
			c.eq("st_dev", after.Dev, before.Dev)
		}},
		{Name: "copy-up/inode number of a directory stays", Layers: one, run: func(c *C) {
			before := c.stat("d")
			c.ok(unix.Chmod(c.p("d"), 0o700))
			after := c.stat("d")
			c.eq("st_ino", after.Ino, before.Ino)
			c.eq("st_dev", after.Dev, before.Dev)
		}},
		{Name: "copy-up/an empty file", Layers: Layers{{File("f", "")}}, run: func(c *C) {
			c.append("f", "x")
			c.content("f", "x")
		}},
		{Name: "copy-up/a file of mode 000", Layers: Layers{{File("f", "secret").Mode(0)}}, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o400))
			c.content("f", "secret")
		}},
		{Name: "copy-up/sparse file keeps its size", Layers: Layers{{File("f", "head").Size(8 << 20)}}, run: func(c *C) {
			fd := c.open("f", unix.O_WRONLY, 0)
			c.pwrite(fd, "tail", 8<<20-4)
			st := c.stat("f")
			c.eq("size", st.Size, int64(8<<20))
			c.yes("holes stay holes", st.Blocks*512 < 4<<20)
			c.eq("tail", c.pread(c.open("f", unix.O_RDONLY, 0), 4, 8<<20-4), "tail")
		}},
		{Name: "copy-up/many files", Layers: Layers{many(60)}, run: func(c *C) {
			for _, e := range many(60) {
				c.append(e.path, "!")
			}
			for _, e := range many(60) {
				c.content(e.path, e.data+"!")
			}
		}},
	}
}

func many(n int) Layer {
	l := make(Layer, n)
	for i := range l {
		l[i] = File("m/"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+itoa(i), itoa(i))
	}
	return l
}

// bare is the same without data, which costs a disk much more than a name.
func bare(n int) Layer {
	l := many(n)
	for i := range l {
		l[i].data = ""
	}
	return l
}

// Owners of files, and who may change them.
func ownerCases() []Case {
	mine := Layers{{File("mine", "y"), Dir("d")}}
	theirs := Layers{{File("f", "x").Owner(otherID, otherID+1), File("mine", "y"), Dir("d").Owner(otherID, otherID)}}
	return []Case{
		{Name: "owner/of a layer is shown", Layers: theirs, need: manyUIDs, run: func(c *C) {
			c.owner("f", otherID, otherID+1)
			c.owner("d", otherID, otherID)
		}},
		{Name: "owner/stays through copy-up", Layers: theirs, need: asRoot | manyUIDs, run: func(c *C) {
			c.append("f", "+")
			c.owner("f", otherID, otherID+1)
			c.content("f", "x+")
		}},
		{Name: "owner/chown", Layers: theirs, need: asRoot | manyUIDs, run: func(c *C) {
			c.ok(unix.Chown(c.p("f"), 5, 6))
			c.owner("f", 5, 6)
			c.content("f", "x")
			c.ok(unix.Chown(c.p("f"), -1, 9))
			c.owner("f", 5, 9)
		}},
		{Name: "owner/chown of a directory", Layers: theirs, need: asRoot | manyUIDs, run: func(c *C) {
			c.ok(unix.Chown(c.p("d"), 5, 6))
			c.owner("d", 5, 6)
		}},
		{Name: "owner/lchown of a symlink", Layers: Layers{{Symlink("s", "f"), File("f", "x")}}, need: asRoot | manyUIDs, run: func(c *C) {
			c.ok(unix.Lchown(c.p("s"), 5, 6))
			c.owner("s", 5, 6)
			c.owner("f", 0, 0)
		}},
		{Name: "owner/fchown", Layers: theirs, need: asRoot | manyUIDs, run: func(c *C) {
			c.ok(unix.Fchown(c.open("mine", unix.O_RDONLY, 0), 7, 8))
			c.owner("mine", 7, 8)
		}},
		{Name: "owner/new files belong to their maker", Layers: mine, run: func(c *C) {
			c.write("new", "x")
			c.mkdir("newdir")
			c.owner("new", c.id.uid, c.id.gid)
			c.owner("newdir", c.id.uid, c.id.gid)
		}},
		{Name: "owner/a user cannot give files away", Layers: theirs, need: asUser | manyUIDs, run: func(c *C) {
			c.fails(unix.Chown(c.p("mine"), otherID, -1), unix.EPERM)
			c.fails(unix.Chown(c.p("mine"), -1, otherID), unix.EPERM)
			c.owner("mine", userID, userID)
		}},
		{Name: "owner/a user cannot take files", Layers: theirs, need: asUser | manyUIDs, run: func(c *C) {
			c.fails(unix.Chown(c.p("f"), userID, userID), unix.EPERM)
			c.fails(unix.Chmod(c.p("f"), 0o777), unix.EPERM)
		}},
		{Name: "owner/chown to what is the case already", Layers: mine, run: func(c *C) {
			c.ok(unix.Chown(c.p("mine"), c.id.uid, c.id.gid))
			c.owner("mine", c.id.uid, c.id.gid)
		}},
		{Name: "owner/unmapped ids are refused", Layers: mine, need: asRoot, run: func(c *C) {
			c.fails(unix.Chown(c.p("mine"), 4_000_000_000, -1), unix.EINVAL)
			c.owner("mine", 0, 0)
		}},
	}
}
