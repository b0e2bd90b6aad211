package fstest

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Reading, writing, holes.
func dataCases() []Case {
	f := Layers{{File("f", "0123456789"), File("sparse", "head").Size(1 << 20)}}
	// A filesystem may do without these, and then says so.
	maybe := func(c *C, err error) bool {
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			return false
		}
		c.ok(err)
		return true
	}
	return []Case{
		{Name: "data/read past the end", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			c.eq("read", c.pread(fd, 10, 10), "")
			c.eq("read", c.pread(fd, 10, 8), "89")
			c.eq("read", c.pread(fd, 10, 1<<40), "")
		}},
		{Name: "data/write past the end makes zeros", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.pwrite(fd, "x", 12)
			c.content("f", "0123456789\x00\x00x")
		}},
		{Name: "data/readv and writev", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			_, err := unix.Pwritev(fd, [][]byte{[]byte("ab"), []byte("cd")}, 2)
			c.ok(err)
			one, two := make([]byte, 3), make([]byte, 3)
			n, err := unix.Preadv(fd, [][]byte{one, two}, 1)
			c.ok(err)
			c.eq("read", string(one)+string(two), "1abcd6")
			c.eq("n", n, 6)
		}},
		{Name: "data/ftruncate", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.ok(unix.Ftruncate(fd, 3))
			c.eq("read", c.pread(fd, 10, 0), "012")
			c.ok(unix.Ftruncate(fd, 5))
			c.eq("read", c.pread(fd, 10, 0), "012\x00\x00")
			c.eq("size", c.stat("f").Size, int64(5))
		}},
		{Name: "data/ftruncate of a read-only descriptor", Layers: f, run: func(c *C) {
			c.fails(unix.Ftruncate(c.open("f", unix.O_RDONLY, 0), 1), unix.EINVAL, unix.EBADF)
			c.content("f", "0123456789")
		}},
		{Name: "data/truncate of a directory", Layers: Layers{{Dir("d")}}, run: func(c *C) {
			c.fails(unix.Truncate(c.p("d"), 0), unix.EISDIR)
		}},
		{Name: "data/truncate to a negative size", Layers: f, run: func(c *C) {
			c.fails(unix.Truncate(c.p("f"), -1), unix.EINVAL)
		}},
		{Name: "data/sparse file of a layer", Layers: f, run: func(c *C) {
			st := c.stat("sparse")
			c.eq("size", st.Size, int64(1<<20))
			c.yes("has holes", st.Blocks*512 < 1<<19)
			fd := c.open("sparse", unix.O_RDONLY, 0)
			c.eq("zeros", c.pread(fd, 8, 1<<19), strings.Repeat("\x00", 8))
		}},
		{Name: "data/SEEK_DATA and SEEK_HOLE of a layer", Layers: f, run: func(c *C) {
			fd := c.open("sparse", unix.O_RDONLY, 0)
			at, err := unix.Seek(fd, 0, unix.SEEK_DATA)
			c.ok(err)
			c.eq("first data", at, int64(0))
			hole, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
			c.ok(err)
			c.yes("a hole after the head, or only at the end", hole >= 4 && hole <= 1<<20)
			_, err = unix.Seek(fd, 1<<20, unix.SEEK_DATA)
			c.fails(err, unix.ENXIO)
		}},
		{Name: "data/SEEK_HOLE of a new file", Layers: f, run: func(c *C) {
			fd := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			c.pwrite(fd, "x", 1<<20)
			at, err := unix.Seek(fd, 0, unix.SEEK_DATA)
			c.ok(err)
			c.yes("data is at its place, or everywhere", at == 0 || at <= 1<<20)
			end, err := unix.Seek(fd, 1<<20, unix.SEEK_HOLE)
			c.ok(err)
			c.eq("the end is a hole", end, int64(1<<20+1))
		}},
		{Name: "data/SEEK_END", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			at, err := unix.Seek(fd, -3, unix.SEEK_END)
			c.ok(err)
			c.eq("offset", at, int64(7))
			_, err = unix.Seek(fd, -1, unix.SEEK_SET)
			c.fails(err, unix.EINVAL)
		}},
		{Name: "data/fallocate grows", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			if maybe(c, unix.Fallocate(fd, 0, 0, 100)) {
				c.eq("size", c.stat("f").Size, int64(100))
				c.eq("data", c.pread(fd, 11, 0), "0123456789\x00")
			}
		}},
		{Name: "data/fallocate KEEP_SIZE", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			if maybe(c, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 1<<16)) {
				c.eq("size", c.stat("f").Size, int64(10))
				c.content("f", "0123456789")
			}
		}},
		{Name: "data/punch a hole into a file of a layer", Layers: Layers{{File("f", strings.Repeat("x", 64<<10))}}, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			if maybe(c, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 8192)) {
				c.content("f", strings.Repeat("x", 4096)+strings.Repeat("\x00", 8192)+strings.Repeat("x", 64<<10-4096-8192))
			}
		}},
		{Name: "data/zero range", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			if maybe(c, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 2, 3)) {
				c.content("f", "01\x00\x00\x0056789")
			}
		}},
		{Name: "data/fallocate of a read-only descriptor", Layers: f, run: func(c *C) {
			c.fails(unix.Fallocate(c.open("f", unix.O_RDONLY, 0), 0, 0, 10), unix.EBADF)
		}},
		{Name: "data/copy_file_range between files of a layer", Layers: Layers{{File("a", "0123456789"), File("b", "xxxxxxxxxx")}}, run: func(c *C) {
			from, to := c.open("a", unix.O_RDONLY, 0), c.open("b", unix.O_RDWR, 0)
			in, out := int64(2), int64(5)
			n, err := unix.CopyFileRange(from, &in, to, &out, 3, 0)
			c.ok(err)
			c.eq("n", n, 3)
			c.content("b", "xxxxx234xx")
			c.eq("offsets", [2]int64{in, out}, [2]int64{5, 8})
		}},
		{Name: "data/copy_file_range into a new file", Layers: f, run: func(c *C) {
			to := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			n, err := unix.CopyFileRange(c.open("f", unix.O_RDONLY, 0), nil, to, nil, 100, 0)
			c.ok(err)
			c.eq("n", n, 10)
			c.content("n", "0123456789")
		}},
		{Name: "data/sendfile", Layers: f, run: func(c *C) {
			to := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			n, err := unix.Sendfile(to, c.open("f", unix.O_RDONLY, 0), nil, 100)
			c.ok(err)
			c.eq("n", n, 10)
			c.content("n", "0123456789")
		}},
		{Name: "data/splice from a pipe", Layers: f, run: func(c *C) {
			var p [2]int
			c.ok(unix.Pipe2(p[:], unix.O_CLOEXEC))
			c.fds = append(c.fds, p[0], p[1])
			_, err := unix.Write(p[1], []byte("PIPE"))
			c.ok(err)
			_, err = unix.Splice(p[0], nil, c.open("f", unix.O_WRONLY, 0), nil, 4, 0)
			c.ok(err)
			c.content("f", "PIPE456789")
		}},
		{Name: "data/fsync, fdatasync, syncfs", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.pwrite(fd, "x", 0)
			c.ok(unix.Fsync(fd))
			c.ok(unix.Fdatasync(fd))
			c.ok(unix.Syncfs(fd))
			c.ok(unix.Fsync(c.open("f", unix.O_RDONLY, 0)))
			c.ok(unix.Fsync(c.open("", unix.O_RDONLY|unix.O_DIRECTORY, 0)))
		}},
		{Name: "data/fsync of a file of a layer", Layers: f, run: func(c *C) {
			c.ok(unix.Fsync(c.open("f", unix.O_RDONLY, 0)))
		}},
		{Name: "data/a megabyte in odd pieces", Layers: f, run: func(c *C) {
			fd := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			want := strings.Repeat("abcdefghijklm", 80_659)
			for at := 0; at < len(want); at += 7777 {
				c.pwrite(fd, want[at:min(at+7777, len(want))], int64(at))
			}
			c.content("n", want)
		}},
		{Name: "data/posix_fadvise and readahead", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			c.ok(unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED))
			c.ok(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
			c.eq("read", c.pread(fd, 10, 0), "0123456789")
		}},
	}
}

// Memory maps.
func mmapCases() []Case {
	f := Layers{{File("f", "0123456789")}}
	mapped := func(c *C, fd, prot, flags int) []byte {
		m, err := unix.Mmap(fd, 0, 10, prot, flags)
		c.ok(err)
		return m
	}
	return []Case{
		{Name: "mmap/private read", Layers: f, run: func(c *C) {
			m := mapped(c, c.open("f", unix.O_RDONLY, 0), unix.PROT_READ, unix.MAP_PRIVATE)
			c.eq("map", string(m), "0123456789")
			c.ok(unix.Munmap(m))
		}},
		{Name: "mmap/private write stays private", Layers: f, run: func(c *C) {
			m := mapped(c, c.open("f", unix.O_RDONLY, 0), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
			m[0] = 'X'
			c.content("f", "0123456789")
			c.ok(unix.Munmap(m))
		}},
		{Name: "mmap/shared write reaches the file", Layers: f, run: func(c *C) {
			m := mapped(c, c.open("f", unix.O_RDWR, 0), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			copy(m, "MAPPED")
			c.ok(unix.Msync(m, unix.MS_SYNC))
			c.content("f", "MAPPED6789")
			c.ok(unix.Munmap(m))
			c.content("f", "MAPPED6789")
		}},
		{Name: "mmap/shared sees writes", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			m := mapped(c, fd, unix.PROT_READ, unix.MAP_SHARED)
			c.pwrite(fd, "W", 0)
			c.eq("map", string(m), "W123456789")
			c.ok(unix.Munmap(m))
		}},
		{Name: "mmap/shared write needs a writable descriptor", Layers: f, run: func(c *C) {
			_, err := unix.Mmap(c.open("f", unix.O_RDONLY, 0), 0, 10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			c.fails(err, unix.EACCES)
		}},
		{Name: "mmap/outlives close and unlink", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDONLY, 0)
			m := mapped(c, fd, unix.PROT_READ, unix.MAP_PRIVATE)
			c.close(fd)
			c.ok(unix.Unlink(c.p("f")))
			c.eq("map", string(m), "0123456789")
			c.ok(unix.Munmap(m))
		}},
		{Name: "mmap/of a new file", Layers: f, run: func(c *C) {
			fd := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			c.ok(unix.Ftruncate(fd, 10))
			m := mapped(c, fd, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			copy(m, "0123456789")
			c.ok(unix.Munmap(m))
			c.content("n", "0123456789")
		}},
		{Name: "mmap/mtime changes by writing", Layers: f, run: func(c *C) {
			before := c.stat("f").Mtim
			m := mapped(c, c.open("f", unix.O_RDWR, 0), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			m[0] = 'x'
			c.ok(unix.Msync(m, unix.MS_SYNC))
			c.yes("mtime changed", c.stat("f").Mtim != before)
			c.ok(unix.Munmap(m))
		}},
	}
}
