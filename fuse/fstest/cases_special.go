package fstest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What is no file and no directory, and what the filesystem says of itself.
func specialCases() []Case {
	f := Layers{{Fifo("p").Mode(0o666), Socket("s"), Symlink("l", "target/of/it"), Symlink("long", strings.Repeat("y/", 2000)), File("f", "x")}}
	return []Case{
		{Name: "special/fifo of a layer carries data", Layers: f, run: func(c *C) {
			fd := c.open("p", unix.O_RDWR|unix.O_NONBLOCK, 0)
			_, err := unix.Write(fd, []byte("through"))
			c.ok(err)
			buf := make([]byte, 20)
			n, err := unix.Read(c.open("p", unix.O_RDONLY|unix.O_NONBLOCK, 0), buf)
			c.ok(err)
			c.eq("read", string(buf[:n]), "through")
		}},
		{Name: "special/fifo without a reader", Layers: f, run: func(c *C) {
			_, err := c.try("p", unix.O_WRONLY|unix.O_NONBLOCK, 0)
			c.fails(err, unix.ENXIO)
		}},
		{Name: "special/types", Layers: f, run: func(c *C) {
			for name, kind := range map[string]uint32{"p": unix.S_IFIFO, "s": unix.S_IFSOCK, "l": unix.S_IFLNK, "f": unix.S_IFREG} {
				c.eq("type of "+name, c.stat(name).Mode&unix.S_IFMT, kind)
			}
		}},
		{Name: "special/chmod of a fifo and a socket", Layers: f, run: func(c *C) {
			c.ok(unix.Chmod(c.p("p"), 0o600))
			c.ok(unix.Chmod(c.p("s"), 0o600))
			c.mode("p", 0o600)
			c.mode("s", 0o600)
		}},
		{Name: "special/unix socket", Layers: f, run: func(c *C) {
			server, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.ok(err)
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.ok(err)
			c.fds = append(c.fds, server, client)
			c.ok(unix.Bind(server, &unix.SockaddrUnix{Name: c.p("sock")}))
			c.ok(unix.Listen(server, 1))
			c.ok(unix.Connect(client, &unix.SockaddrUnix{Name: c.p("sock")}))
			c.eq("type", c.stat("sock").Mode&unix.S_IFMT, uint32(unix.S_IFSOCK))
		}},
		{Name: "special/socket nobody listens on", Layers: f, run: func(c *C) {
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.ok(err)
			c.fds = append(c.fds, client)
			c.fails(unix.Connect(client, &unix.SockaddrUnix{Name: c.p("s")}), unix.ECONNREFUSED)
			c.fails(unix.Bind(client, &unix.SockaddrUnix{Name: c.p("s")}), unix.EADDRINUSE)
		}},
		{Name: "special/readlink", Layers: f, run: func(c *C) {
			to, err := os.Readlink(c.p("l"))
			c.ok(err)
			c.eq("l", to, "target/of/it")
			to, err = os.Readlink(c.p("long"))
			c.ok(err)
			c.eq("long", len(to), 4000)
			c.eq("size", c.stat("l").Size, int64(12))
			_, err = os.Readlink(c.p("f"))
			c.fails(err, unix.EINVAL)
		}},
		{Name: "special/symlink made and replaced", Layers: f, run: func(c *C) {
			c.fails(unix.Symlink("x", c.p("l")), unix.EEXIST)
			c.ok(unix.Unlink(c.p("l")))
			c.ok(unix.Symlink("f", c.p("l")))
			c.content("l", "x")
		}},
		{Name: "special/statfs", Layers: f, run: func(c *C) {
			var st unix.Statfs_t
			c.ok(unix.Statfs(c.p("f"), &st))
			c.yes("has a block size, blocks, and names of 255 bytes", st.Bsize > 0 && st.Blocks > 0 && st.Namelen == 255)
			var by unix.Statfs_t
			c.ok(unix.Fstatfs(c.open("f", unix.O_RDONLY, 0), &by))
			c.eq("type", by.Type, st.Type)
		}},
		{Name: "special/statx", Layers: f, run: func(c *C) {
			var st unix.Statx_t
			c.ok(unix.Statx(unix.AT_FDCWD, c.p("f"), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st))
			c.eq("size", st.Size, uint64(1))
			c.yes("all that was asked", st.Mask&unix.STATX_BASIC_STATS == unix.STATX_BASIC_STATS)
		}},
		{Name: "special/whole tree is one filesystem", Layers: Layers{{File("a/f", "")}, {File("b/g", "")}}, run: func(c *C) {
			c.write("n", "")
			c.eq("dev of a", c.stat("a").Dev, c.stat("").Dev)
			c.eq("dev of b", c.stat("b").Dev, c.stat("").Dev)
			c.eq("dev of n", c.stat("n").Dev, c.stat("").Dev)
		}},
		{Name: "special/inotify", Layers: f, run: func(c *C) {
			fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
			c.ok(err)
			c.fds = append(c.fds, fd)
			_, err = unix.InotifyAddWatch(fd, c.p(""), unix.IN_CREATE)
			c.ok(err)
			c.write("new", "")
			n, err := unix.Read(fd, make([]byte, 4096))
			c.ok(err)
			c.yes("an event", n > 0)
		}},
		{Name: "special/a full disk is ENOSPC, not a broken file", Layers: f, run: func(c *C) {
			fd := c.open("n", unix.O_RDWR|unix.O_CREAT, 0o600)
			err := unix.Fallocate(fd, 0, 0, 1<<60)
			c.yes("fails", err != nil)
			c.eq("size", c.fstat(fd).Size, int64(0))
		}},
	}
}

// A program that is still open for writing in a child between its fork and its
// exec is busy (ETXTBSY): one of these cases at a time.
var executing sync.Mutex

// Executing programs from the tree.
func execCases() []Case {
	prog := Layers{{File("prog", exit42()).Mode(0o755), File("noexec", exit42()).Mode(0o644), File("script", "#!/bin/sh\nexit 7\n").Mode(0o755), File("junk", "not a program").Mode(0o755)}}
	status := func(c *C, name string) int {
		err := exec.Command(c.p(name)).Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		c.ok(err)
		return 0
	}
	cases := []Case{
		{Name: "exec/program of a layer", Layers: prog, run: func(c *C) { c.eq("status", status(c, "prog"), 42) }},
		{Name: "exec/copied-up program", Layers: prog, run: func(c *C) {
			c.ok(unix.Chmod(c.p("prog"), 0o700))
			c.eq("status", status(c, "prog"), 42)
		}},
		{Name: "exec/new program", Layers: prog, run: func(c *C) {
			fd := c.open("new", unix.O_CREAT|unix.O_WRONLY, 0o700)
			c.pwrite(fd, exit42(), 0)
			c.close(fd)
			c.eq("status", status(c, "new"), 42)
		}},
		{Name: "exec/script", Layers: prog, run: func(c *C) { c.eq("status", status(c, "script"), 7) }},
		{Name: "exec/without permission", Layers: prog, run: func(c *C) {
			c.fails(exec.Command(c.p("noexec")).Run(), unix.EACCES)
		}},
		{Name: "exec/no program", Layers: prog, run: func(c *C) {
			c.fails(exec.Command(c.p("junk")).Run(), unix.ENOEXEC)
		}},
		{Name: "exec/through a symlink", Layers: Layers{{Symlink("bin", "usr/bin")}, {File("usr/bin/prog", exit42()).Mode(0o755)}}, run: func(c *C) {
			c.eq("status", status(c, "bin/prog"), 42)
		}},
		{Name: "exec/a program open for writing is busy", Layers: prog, run: func(c *C) {
			fd := c.open("new", unix.O_CREAT|unix.O_RDWR, 0o700)
			c.pwrite(fd, exit42(), 0)
			c.fails(exec.Command(c.p("new")).Run(), unix.ETXTBSY)
		}},
		{Name: "exec/working directory in the tree", Layers: prog, run: func(c *C) {
			cmd := exec.Command("./prog")
			cmd.Dir = c.p("")
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 42 {
				c.errorf("got %v, want exit status 42", err)
			}
		}},
	}
	for i, k := range cases {
		cases[i].run = func(c *C) {
			executing.Lock()
			defer executing.Unlock()
			k.run(c)
		}
	}
	return cases
}
