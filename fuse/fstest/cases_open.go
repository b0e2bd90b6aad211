package fstest

import (
	"strings"

	"golang.org/x/sys/unix"
)

// The flags of open(2).
func openCases() []Case {
	f := Layers{{File("f", "below"), Dir("d"), Symlink("s", "f"), Symlink("dangling", "none")}}
	return []Case{
		{Name: "open/O_CREAT of what exists changes nothing", Layers: f, run: func(c *C) {
			c.close(c.open("f", unix.O_CREAT|unix.O_RDONLY, 0o777))
			c.content("f", "below")
			c.mode("f", 0o644)
		}},
		{Name: "open/O_EXCL", Layers: f, run: func(c *C) {
			_, err := c.try("f", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
			c.fails(err, unix.EEXIST)
			_, err = c.try("s", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
			c.fails(err, unix.EEXIST)
			_, err = c.try("dangling", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
			c.fails(err, unix.EEXIST)
			c.absent("none")
		}},
		{Name: "open/O_CREAT through a dangling symlink", Layers: f, run: func(c *C) {
			c.write("dangling", "x")
			c.content("none", "x")
		}},
		{Name: "open/O_NOFOLLOW", Layers: f, run: func(c *C) {
			_, err := c.try("s", unix.O_RDONLY|unix.O_NOFOLLOW, 0)
			c.fails(err, unix.ELOOP)
		}},
		{Name: "open/O_DIRECTORY", Layers: f, run: func(c *C) {
			_, err := c.try("f", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			c.fails(err, unix.ENOTDIR)
			c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		}},
		{Name: "open/a directory for writing", Layers: f, run: func(c *C) {
			_, err := c.try("d", unix.O_RDWR, 0)
			c.fails(err, unix.EISDIR)
		}},
		{Name: "open/O_TRUNC", Layers: f, run: func(c *C) {
			c.close(c.open("f", unix.O_WRONLY|unix.O_TRUNC, 0))
			c.content("f", "")
			c.mode("f", 0o644)
		}},
		{Name: "open/O_APPEND writes at the end whatever the offset", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR|unix.O_APPEND, 0)
			_, err := unix.Seek(fd, 0, unix.SEEK_SET)
			c.ok(err)
			_, err = unix.Write(fd, []byte("1"))
			c.ok(err)
			other := c.open("f", unix.O_WRONLY|unix.O_APPEND, 0)
			_, err = unix.Write(other, []byte("2"))
			c.ok(err)
			_, err = unix.Write(fd, []byte("3"))
			c.ok(err)
			c.content("f", "below123")
		}},
		{Name: "open/O_TMPFILE", Layers: f, run: func(c *C) {
			fd := c.open("d", unix.O_TMPFILE|unix.O_RDWR, 0o600)
			c.pwrite(fd, "tmp", 0)
			c.eq("read", c.pread(fd, 5, 0), "tmp")
			c.names("d")
			c.eq("nlink", uint64(c.fstat(fd).Nlink), uint64(0))
		}},
		{Name: "open/O_TMPFILE linked into place", Layers: f, run: func(c *C) {
			fd := c.open("", unix.O_TMPFILE|unix.O_RDWR, 0o640)
			c.pwrite(fd, "tmp", 0)
			c.ok(unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), unix.AT_FDCWD, c.p("d/named"), unix.AT_SYMLINK_FOLLOW))
			c.content("d/named", "tmp")
			c.mode("d/named", 0o640)
		}},
		{Name: "open/O_TMPFILE|O_EXCL cannot be linked", Layers: f, run: func(c *C) {
			fd := c.open("d", unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR, 0o600)
			err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), unix.AT_FDCWD, c.p("d/n"), unix.AT_SYMLINK_FOLLOW)
			c.fails(err, unix.ENOENT)
		}},
		{Name: "open/O_PATH", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_PATH, 0)
			_, err := unix.Read(fd, make([]byte, 1))
			c.fails(err, unix.EBADF)
			c.eq("size", c.fstat(fd).Size, int64(5))
		}},
		{Name: "open/read-only descriptors do not write", Layers: f, run: func(c *C) {
			_, err := unix.Write(c.open("f", unix.O_RDONLY, 0), []byte("x"))
			c.fails(err, unix.EBADF)
			_, err = unix.Read(c.open("f", unix.O_WRONLY, 0), make([]byte, 1))
			c.fails(err, unix.EBADF)
		}},
		{Name: "open/symlink loop", Layers: Layers{{Symlink("a", "b"), Symlink("b", "a")}}, run: func(c *C) {
			_, err := c.try("a", unix.O_RDONLY, 0)
			c.fails(err, unix.ELOOP)
		}},
		{Name: "open/through symlinks of other layers", Layers: Layers{{Symlink("l", "d/e")}, {File("d/e/f", "x")}}, run: func(c *C) {
			c.content("l/f", "x")
			c.append("l/f", "y")
			c.content("d/e/f", "xy")
		}},
		{Name: "open/dot dot stays inside the mount's tree", Layers: f, run: func(c *C) {
			c.content("d/../f", "below")
		}},
		{Name: "open/a file as a directory", Layers: f, run: func(c *C) {
			_, err := c.try("f/x", unix.O_RDONLY, 0)
			c.fails(err, unix.ENOTDIR)
		}},
		{Name: "open/two descriptors share the file", Layers: f, run: func(c *C) {
			a := c.open("f", unix.O_RDWR, 0)
			b := c.open("f", unix.O_RDWR, 0)
			c.pwrite(a, "A", 0)
			c.eq("b sees a", c.pread(b, 5, 0), "Aelow")
			c.pwrite(b, "B", 1)
			c.eq("a sees b", c.pread(a, 5, 0), "ABlow")
		}},
		{Name: "open/reopen by /proc/self/fd for writing", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			w, err := unix.Open("/proc/self/fd/"+itoa(fd), unix.O_WRONLY, 0)
			c.ok(err)
			c.fds = append(c.fds, w)
			c.pwrite(w, "B", 0)
			c.content("f", "Below")
		}},
		{Name: "open/O_SYNC and O_DSYNC", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR|unix.O_SYNC, 0)
			c.pwrite(fd, "S", 0)
			c.close(fd)
			c.content("f", "Selow")
		}},
		{Name: "open/O_DIRECT or a clear refusal", Layers: Layers{{File("f", strings.Repeat("x", 8192))}}, run: func(c *C) {
			fd, err := c.try("f", unix.O_RDONLY|unix.O_DIRECT, 0)
			if err != nil {
				c.fails(err, unix.EINVAL)
				return
			}
			page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			c.ok(err)
			defer func() { _ = unix.Munmap(page) }()
			n, err := unix.Pread(fd, page, 4096)
			c.ok(err)
			c.eq("read", string(page[:n]), strings.Repeat("x", 4096))
		}},
		{Name: "open/O_NOATIME is for the owner", Layers: f, run: func(c *C) {
			c.open("f", unix.O_RDONLY|unix.O_NOATIME, 0)
		}},
	}
}
