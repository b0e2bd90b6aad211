package fstest

import (
	"time"

	"golang.org/x/sys/unix"
)

// Times, to the nanosecond.
func timeCases() []Case {
	f := Layers{{File("f", "x").Mtime(1_000_000_000, 123_456_789), Dir("d").Mtime(2_000_000_000, 7), Symlink("s", "f").Mtime(3, 9)}}
	at := func(sec, nsec int64) unix.Timespec { return unix.Timespec{Sec: sec, Nsec: nsec} }
	set := func(c *C, name string, a, m unix.Timespec) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, c.p(name), []unix.Timespec{a, m}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return []Case{
		{Name: "time/of a layer", Layers: f, run: func(c *C) {
			c.eq("f", c.stat("f").Mtim, at(1_000_000_000, 123_456_789))
			c.eq("d", c.stat("d").Mtim, at(2_000_000_000, 7))
			c.eq("s", c.stat("s").Mtim, at(3, 9))
		}},
		{Name: "time/set", Layers: f, run: func(c *C) {
			for _, name := range []string{"f", "d", "s"} {
				c.ok(set(c, name, at(10, 11), at(12, 13)))
				c.eq(name, c.stat(name).Mtim, at(12, 13))
				c.eq(name, c.stat(name).Atim, at(10, 11))
			}
		}},
		{Name: "time/UTIME_OMIT", Layers: f, run: func(c *C) {
			c.ok(set(c, "f", at(0, unix.UTIME_OMIT), at(5, 6)))
			c.eq("mtime", c.stat("f").Mtim, at(5, 6))
			c.ok(set(c, "f", at(7, 8), at(0, unix.UTIME_OMIT)))
			c.eq("mtime", c.stat("f").Mtim, at(5, 6))
			c.eq("atime", c.stat("f").Atim, at(7, 8))
		}},
		{Name: "time/UTIME_NOW", Layers: f, run: func(c *C) {
			c.ok(set(c, "f", at(0, unix.UTIME_NOW), at(0, unix.UTIME_NOW)))
			c.yes("is about now", recent(c.stat("f").Mtim))
		}},
		{Name: "time/before 1970 and after 2038", Layers: f, run: func(c *C) {
			c.ok(set(c, "f", at(-5, 1), at(-100, 2)))
			c.eq("mtime", c.stat("f").Mtim, at(-100, 2))
			c.ok(set(c, "f", at(0, 0), at(4_500_000_000, 3)))
			c.eq("mtime", c.stat("f").Mtim, at(4_500_000_000, 3))
		}},
		{Name: "time/chmod changes ctime only", Layers: f, run: func(c *C) {
			before := c.stat("f")
			c.ok(unix.Chmod(c.p("f"), 0o600))
			after := c.stat("f")
			c.eq("mtime", after.Mtim, before.Mtim)
			c.yes("ctime changed", after.Ctim != before.Ctim)
		}},
		{Name: "time/creating in a directory changes its mtime", Layers: f, run: func(c *C) {
			c.write("d/n", "x")
			c.yes("mtime changed", c.stat("d").Mtim != at(2_000_000_000, 7))
		}},
		{Name: "time/writing in a file does not change the directory's", Layers: Layers{{Dir("d").Mtime(5, 5), File("d/f", "x")}}, run: func(c *C) {
			c.append("d/f", "y")
			c.eq("mtime", c.stat("d").Mtim, at(5, 5))
		}},
		{Name: "time/reading does not change mtime or ctime", Layers: f, run: func(c *C) {
			before := c.stat("f")
			c.content("f", "x")
			after := c.stat("f")
			c.eq("mtime", after.Mtim, before.Mtim)
			c.eq("ctime", after.Ctim, before.Ctim)
		}},
		{Name: "time/atime of a new file moves when it is read", Layers: f, run: func(c *C) {
			c.write("n", "x")
			c.ok(set(c, "n", at(1, 0), at(2, 0))) // relatime: atime before mtime is renewed
			c.content("n", "x")
			c.yes("atime moved", c.stat("n").Atim != at(1, 0))
		}},
		{Name: "time/futimens", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), []unix.Timespec{at(1, 2), at(3, 4)}, 0))
			c.eq("mtime", c.stat("f").Mtim, at(3, 4))
			c.eq("fstat", c.fstat(fd).Mtim, at(3, 4))
		}},
	}
}

// Locks. Those of POSIX belong to a process; the two kinds of fcntl(2) locks see each
// other, so an open file description's stands for another process.
func lockCases() []Case {
	f := Layers{{File("f", "0123456789")}}
	lock := func(fd, cmd int, kind int16, start, length int64) error {
		return unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: start, Len: length})
	}
	const ofd, posix = unix.F_OFD_SETLK, unix.F_SETLK
	return []Case{
		{Name: "lock/POSIX against another", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDWR, 0), c.open("f", unix.O_RDWR, 0)
			c.ok(lock(a, posix, unix.F_WRLCK, 0, 5))
			c.fails(lock(b, ofd, unix.F_WRLCK, 4, 2), unix.EAGAIN, unix.EACCES)
			c.ok(lock(b, ofd, unix.F_WRLCK, 5, 2))
			c.ok(lock(a, posix, unix.F_UNLCK, 0, 5))
			c.ok(lock(b, ofd, unix.F_WRLCK, 0, 5))
		}},
		{Name: "lock/shared ones go together", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDWR, 0), c.open("f", unix.O_RDWR, 0)
			c.ok(lock(a, posix, unix.F_RDLCK, 0, 0))
			c.ok(lock(b, ofd, unix.F_RDLCK, 0, 0))
			c.fails(lock(b, ofd, unix.F_WRLCK, 0, 0), unix.EAGAIN, unix.EACCES)
		}},
		{Name: "lock/F_GETLK tells the owner", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDWR, 0), c.open("f", unix.O_RDWR, 0)
			c.ok(lock(a, posix, unix.F_WRLCK, 2, 3))
			ask := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET}
			c.ok(unix.FcntlFlock(uintptr(b), unix.F_OFD_GETLK, &ask))
			c.eq("lock", [3]int64{int64(ask.Type), ask.Start, ask.Len}, [3]int64{unix.F_WRLCK, 2, 3})
		}},
		{Name: "lock/gone with the last close", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDWR, 0), c.open("f", unix.O_RDWR, 0)
			c.ok(lock(a, ofd, unix.F_WRLCK, 0, 0))
			c.fails(lock(b, ofd, unix.F_WRLCK, 0, 0), unix.EAGAIN)
			c.close(a)
			c.ok(lock(b, ofd, unix.F_WRLCK, 0, 0))
		}},
		{Name: "lock/flock", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDWR, 0), c.open("f", unix.O_RDWR, 0)
			c.ok(unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB))
			c.fails(unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
			c.ok(unix.Flock(a, unix.LOCK_SH|unix.LOCK_NB))
			c.ok(unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB))
		}},
		{Name: "lock/flock of read-only descriptors", Layers: f, run: func(c *C) {
			a, b := c.open("f", unix.O_RDONLY, 0), c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB))
			c.fails(unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
		}},
		{Name: "lock/held across copy-up", Layers: f, run: func(c *C) {
			a := c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB))
			c.append("f", "x")
			c.fails(unix.Flock(c.open("f", unix.O_RDONLY, 0), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
		}},
		{Name: "lock/flock of a directory", Layers: f, run: func(c *C) {
			a := c.open("", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			b := c.open("", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.ok(unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB))
			c.fails(unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
		}},
	}
}

// recent: within an hour of now, so that no clock can make a case fail.
func recent(ts unix.Timespec) bool { return time.Since(time.Unix(ts.Unix())).Abs() < time.Hour }
