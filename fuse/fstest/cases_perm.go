package fstest

import (
	"golang.org/x/sys/unix"
)

// Who may do what. Most of these are about somebody without privilege.
func permCases() []Case {
	theirs := func(e Entry) Entry { return e.Owner(otherID, otherID) }
	return []Case{
		{Name: "perm/own file without read", Layers: Layers{{File("f", "x").Mode(0o200)}}, need: asUser, run: func(c *C) {
			_, err := c.try("f", unix.O_RDONLY, 0)
			c.fails(err, unix.EACCES)
			c.open("f", unix.O_WRONLY, 0)
		}},
		{Name: "perm/own file without write", Layers: Layers{{File("f", "x").Mode(0o400)}}, need: asUser, run: func(c *C) {
			_, err := c.try("f", unix.O_WRONLY, 0)
			c.fails(err, unix.EACCES)
			c.fails(unix.Truncate(c.p("f"), 0), unix.EACCES)
			c.content("f", "x")
		}},
		{Name: "perm/directory without write", Layers: Layers{{Dir("d").Mode(0o555), File("d/f", "x")}}, need: asUser, run: func(c *C) {
			_, err := c.try("d/n", unix.O_CREAT|unix.O_WRONLY, 0o600)
			c.fails(err, unix.EACCES)
			c.fails(unix.Unlink(c.p("d/f")), unix.EACCES)
			c.fails(unix.Mkdir(c.p("d/e"), 0o755), unix.EACCES)
			c.fails(c.rename("d/f", "g"), unix.EACCES)
			c.fails(unix.Symlink("x", c.p("d/s")), unix.EACCES)
			c.fails(unix.Link(c.p("d/f"), c.p("d/l")), unix.EACCES)
			c.names("d", "f")
			c.append("d/f", "y") // its data may change
			c.content("d/f", "xy")
		}},
		{Name: "perm/directory without search", Layers: Layers{{Dir("d").Mode(0o600), File("d/f", "x")}}, need: asUser, run: func(c *C) {
			_, err := c.try("d/f", unix.O_RDONLY, 0)
			c.fails(err, unix.EACCES)
			var st unix.Stat_t
			c.fails(unix.Lstat(c.p("d/f"), &st), unix.EACCES)
		}},
		{Name: "perm/directory without read", Layers: Layers{{Dir("d").Mode(0o311), File("d/f", "x")}}, need: asUser, run: func(c *C) {
			_, err := c.try("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.fails(err, unix.EACCES)
			c.content("d/f", "x")
		}},
		{Name: "perm/group and others", Layers: Layers{{theirs(File("r", "x").Mode(0o604)), theirs(File("w", "x").Mode(0o602)), theirs(File("n", "x").Mode(0o660))}}, need: asUser | manyUIDs, run: func(c *C) {
			c.content("r", "x")
			_, err := c.try("r", unix.O_WRONLY, 0)
			c.fails(err, unix.EACCES)
			c.append("w", "y")
			_, err = c.try("n", unix.O_RDONLY, 0)
			c.fails(err, unix.EACCES)
		}},
		{Name: "perm/others' file that anybody may write keeps its owner", Layers: Layers{{theirs(File("w", "x").Mode(0o666))}}, need: asUser | manyUIDs, run: func(c *C) {
			c.append("w", "y")
			c.content("w", "xy")
			c.owner("w", otherID, otherID)
		}},
		{Name: "perm/own group", Layers: Layers{{File("f", "x").Owner(otherID, userID).Mode(0o660)}}, need: asUser | manyUIDs, run: func(c *C) {
			c.append("f", "y")
			c.owner("f", otherID, userID)
		}},
		{Name: "perm/the owner's bits count for the owner", Layers: Layers{{File("f", "x").Mode(0o066)}}, need: asUser, run: func(c *C) {
			_, err := c.try("f", unix.O_RDONLY, 0)
			c.fails(err, unix.EACCES)
		}},
		{Name: "perm/sticky directory", Layers: Layers{{theirs(Dir("tmp").Mode(0o1777)), theirs(File("tmp/f", "x").Mode(0o666)), File("tmp/mine", "y")}}, need: asUser | manyUIDs, run: func(c *C) {
			c.fails(unix.Unlink(c.p("tmp/f")), unix.EPERM, unix.EACCES)
			c.fails(c.rename("tmp/f", "tmp/g"), unix.EPERM, unix.EACCES)
			c.fails(c.rename("tmp/mine", "tmp/f"), unix.EPERM, unix.EACCES)
			c.ok(unix.Unlink(c.p("tmp/mine")))
			c.write("tmp/new", "z")
			c.mode("tmp", 0o1777)
		}},
		{Name: "perm/directory of others that anybody may write", Layers: Layers{{theirs(Dir("d").Mode(0o777)), theirs(File("d/f", "x"))}}, need: asUser | manyUIDs, run: func(c *C) {
			c.ok(unix.Unlink(c.p("d/f")))
			c.write("d/f", "mine")
			c.owner("d/f", userID, userID)
			c.owner("d", otherID, otherID)
		}},
		{Name: "perm/utimens of others' files", Layers: Layers{{theirs(File("f", "x").Mode(0o666)), theirs(File("g", "x").Mode(0o644))}}, need: asUser | manyUIDs, run: func(c *C) {
			now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
			then := []unix.Timespec{{Sec: 1}, {Sec: 1}}
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, c.p("f"), now, 0))
			c.fails(unix.UtimesNanoAt(unix.AT_FDCWD, c.p("f"), then, 0), unix.EPERM)
			c.fails(unix.UtimesNanoAt(unix.AT_FDCWD, c.p("g"), now, 0), unix.EACCES)
		}},
		{Name: "perm/O_NOATIME of others' files", Layers: Layers{{theirs(File("f", "x").Mode(0o666))}}, need: asUser | manyUIDs, run: func(c *C) {
			_, err := c.try("f", unix.O_RDONLY|unix.O_NOATIME, 0)
			c.fails(err, unix.EPERM)
		}},
		{Name: "perm/root reads and writes everything", Layers: Layers{{File("f", "x").Mode(0), Dir("d").Mode(0), File("d/g", "y").Mode(0)}}, need: asRoot, run: func(c *C) {
			c.content("f", "x")
			c.append("f", "+")
			c.append("d/g", "+")
			c.content("d/g", "y+")
			c.mode("d", 0)
		}},
		{Name: "perm/root does not execute what nobody may", Layers: Layers{{File("f", "x").Mode(0o644)}}, need: asRoot, run: func(c *C) {
			c.fails(unix.Access(c.p("f"), unix.X_OK), unix.EACCES)
			c.ok(unix.Access(c.p("f"), unix.R_OK|unix.W_OK))
		}},
		{Name: "perm/access", Layers: Layers{{File("r", "").Mode(0o400), File("x", "").Mode(0o500)}}, need: asUser, run: func(c *C) {
			c.ok(unix.Access(c.p("r"), unix.R_OK))
			c.fails(unix.Access(c.p("r"), unix.W_OK), unix.EACCES)
			c.fails(unix.Access(c.p("r"), unix.X_OK), unix.EACCES)
			c.ok(unix.Access(c.p("x"), unix.R_OK|unix.X_OK))
		}},
		{Name: "perm/umask does not touch copy-up", Layers: Layers{{File("f", "x").Mode(0o666), Dir("d").Mode(0o777), File("d/g", "")}}, run: func(c *C) {
			// The whole process has umask 0; a thread cannot have its own without more.
			c.append("f", "y")
			c.append("d/g", "y")
			c.mode("f", 0o666)
			c.mode("d", 0o777)
		}},
		{Name: "perm/devices cannot be made", Layers: Layers{{}}, run: func(c *C) {
			c.fails(unix.Mknod(c.p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.EPERM)
			c.absent("null")
		}},
		{Name: "perm/mode of new files", Layers: Layers{{}}, run: func(c *C) {
			c.close(c.open("a", unix.O_CREAT|unix.O_WRONLY, 0o751))
			c.mode("a", 0o751)
			c.ok(unix.Mkdir(c.p("d"), 0o713))
			c.mode("d", 0o713)
			c.ok(unix.Mkfifo(c.p("p"), 0o624))
			c.mode("p", 0o624)
		}},
	}
}

// Set-id and sticky bits.
func setIDCases() []Case {
	suid := Layers{{File("f", "x").Mode(0o6755)}}
	return []Case{
		{Name: "set-id/of a layer", Layers: suid, run: func(c *C) { c.mode("f", 0o6755) }},
		{Name: "set-id/survive chmod and copy-up", Layers: suid, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o4711))
			c.mode("f", 0o4711)
		}},
		{Name: "set-id/survive copy-up by xattr", Layers: suid, run: func(c *C) {
			c.ok(c.setxattr("f", "user.x", "y"))
			c.mode("f", 0o6755)
		}},
		{Name: "set-id/survive a rename", Layers: suid, run: func(c *C) {
			c.ok(c.rename("f", "g"))
			c.mode("g", 0o6755)
		}},
		{Name: "set-id/cleared by a user's write", Layers: suid, need: asUser, run: func(c *C) {
			c.append("f", "y")
			c.mode("f", 0o755)
		}},
		{Name: "set-id/cleared or kept by root's write", Layers: suid, need: asRoot, run: func(c *C) {
			// Linux asks for CAP_FSETID over the host, which root of a user namespace
			// has not (fs/attr.c, setattr_should_drop_suidgid); POSIX leaves it open.
			c.append("f", "y")
			m := c.stat("f").Mode & 0o7777
			c.yes("mode 0755 or 6755", m == 0o755 || m == 0o6755)
		}},
		{Name: "set-id/cleared by a user's truncate", Layers: suid, need: asUser, run: func(c *C) {
			c.ok(unix.Truncate(c.p("f"), 0))
			c.mode("f", 0o755)
		}},
		{Name: "set-id/cleared by a user's fallocate", Layers: suid, need: asUser, run: func(c *C) {
			if unix.Fallocate(c.open("f", unix.O_RDWR, 0), 0, 0, 100) == nil {
				c.mode("f", 0o755)
			}
		}},
		{Name: "set-id/cleared by chown", Layers: suid, need: manyUIDs | asRoot, run: func(c *C) {
			c.ok(unix.Chown(c.p("f"), otherID, otherID))
			c.mode("f", 0o755)
		}},
		{Name: "set-id/without group execution it is no set-gid", Layers: Layers{{File("f", "x").Mode(0o2644)}}, need: manyUIDs | asRoot, run: func(c *C) {
			c.ok(unix.Chown(c.p("f"), otherID, 0))
			c.mode("f", 0o2644)
		}},
		{Name: "set-id/set-gid directory hands its group on", Layers: Layers{{Dir("d").Owner(-1, 3000).Mode(0o2777)}}, need: manyUIDs, run: func(c *C) {
			c.write("d/f", "x")
			c.eq("group", c.stat("d/f").Gid, uint32(3000))
			c.mkdir("d/e")
			c.eq("group", c.stat("d/e").Gid, uint32(3000))
			c.mode("d/e", 0o2755)
		}},
		{Name: "set-id/a user cannot set the group bit for a foreign group", Layers: Layers{{File("f", "x").Owner(-1, 3000)}}, need: manyUIDs | asUser, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o2755))
			c.mode("f", 0o755)
		}},
		{Name: "set-id/copy-up in a set-gid directory keeps the file's group", Layers: Layers{{Dir("d").Owner(-1, 3000).Mode(0o2755), File("d/f", "x")}}, need: manyUIDs, run: func(c *C) {
			c.append("d/f", "y")
			c.owner("d/f", c.id.uid, c.id.gid)
		}},
	}
}
