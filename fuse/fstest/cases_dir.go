package fstest

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Reading directories.
func readdirCases() []Case {
	f := Layers{{File("d/a", ""), Dir("d/sub"), Symlink("d/s", "a"), Fifo("d/p")}, {File("d/b", ""), File("d/a", "hidden")}}
	return []Case{
		{Name: "readdir/dot and dot dot", Layers: f, run: func(c *C) {
			got := c.raw(c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0))
			names := make([]string, len(got))
			for i, e := range got {
				names[i] = e.name
			}
			slices.Sort(names)
			c.eq("names", names, []string{".", "..", "a", "b", "p", "s", "sub"})
		}},
		{Name: "readdir/types", Layers: f, run: func(c *C) {
			want := map[string]byte{".": unix.DT_DIR, "..": unix.DT_DIR, "a": unix.DT_REG, "b": unix.DT_REG, "p": unix.DT_FIFO, "s": unix.DT_LNK, "sub": unix.DT_DIR}
			for _, e := range c.raw(c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)) {
				c.yes("type of "+e.name, e.kind == want[e.name] || e.kind == unix.DT_UNKNOWN)
			}
		}},
		{Name: "readdir/inode numbers agree with stat", Layers: f, run: func(c *C) {
			for _, e := range c.raw(c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)) {
				if e.name != ".." {
					c.eq("d_ino of "+e.name, e.ino, c.stat("d/"+e.name).Ino)
				}
			}
		}},
		{Name: "readdir/every name once", Layers: f, run: func(c *C) {
			c.write("d/a", "again")
			names := c.list("d")
			c.eq("names", len(slices.Compact(slices.Clone(names))), len(names))
		}},
		{Name: "readdir/rewind sees what is new", Layers: f, run: func(c *C) {
			fd := c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			before := len(c.raw(fd))
			c.write("d/new", "")
			_, err := unix.Seek(fd, 0, unix.SEEK_SET)
			c.ok(err)
			c.eq("entries", len(c.raw(fd)), before+1)
		}},
		{Name: "readdir/rewind does not see what was deleted", Layers: f, run: func(c *C) {
			fd := c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			before := len(c.raw(fd))
			c.ok(unix.Unlink(c.p("d/b")))
			_, err := unix.Seek(fd, 0, unix.SEEK_SET)
			c.ok(err)
			c.eq("entries", len(c.raw(fd)), before-1)
		}},
		{Name: "readdir/new descriptor sees what is new at once", Layers: f, run: func(c *C) {
			c.names("d", "a", "b", "p", "s", "sub")
			c.write("d/new", "")
			c.names("d", "a", "b", "new", "p", "s", "sub")
			c.ok(unix.Unlink(c.p("d/a")))
			c.names("d", "b", "new", "p", "s", "sub")
		}},
		{Name: "readdir/telldir and seekdir", Layers: Layers{bare(60)}, run: func(c *C) {
			fd := c.open("m", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			all := c.raw(fd)
			c.eq("entries", len(all), 62)
			for _, i := range []int{0, 1, 30, 60} { // d_off is the place of the next entry
				_, err := unix.Seek(fd, all[i].off, unix.SEEK_SET)
				c.ok(err)
				rest := c.raw(fd)
				c.eq("entries after seek", len(rest), len(all)-i-1)
				if len(rest) > 0 {
					c.eq("next", rest[0].name, all[i+1].name)
				}
			}
		}},
		{Name: "readdir/small buffers", Layers: Layers{bare(100)[:50], bare(100)}, run: func(c *C) {
			fd := c.open("m", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			seen := map[string]int{}
			buf := make([]byte, 300)
			for {
				n, err := unix.Getdents(fd, buf)
				c.ok(err)
				if n == 0 {
					break
				}
				for _, e := range parse(buf[:n]) {
					seen[e.name]++
				}
			}
			c.eq("names", len(seen), 102)
			for name, n := range seen {
				c.eq("times "+name, n, 1)
			}
		}},
		{Name: "readdir/many names in three layers", Layers: Layers{bare(400)[:170], bare(400)[150:300], bare(400)[280:]}, run: func(c *C) {
			c.eq("names", len(c.list("m")), 400)
		}},
		{Name: "readdir/deleting while reading", Layers: Layers{bare(150)}, run: func(c *C) {
			fd := c.open("m", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			buf := make([]byte, 2000)
			for {
				n, err := unix.Getdents(fd, buf)
				c.ok(err)
				if n == 0 {
					break
				}
				for _, e := range parse(buf[:n]) {
					if !strings.HasPrefix(e.name, ".") {
						c.ok(unix.Unlink(c.p("m/" + e.name)))
					}
				}
			}
			c.names("m")
			c.ok(unix.Rmdir(c.p("m")))
		}},
		{Name: "readdir/names not touched are seen while others change", Layers: Layers{bare(150)}, run: func(c *C) {
			fd := c.open("m", unix.O_RDONLY|unix.O_DIRECTORY, 0)
			seen := map[string]bool{}
			buf := make([]byte, 1000)
			for i := 0; ; i++ {
				n, err := unix.Getdents(fd, buf)
				c.ok(err)
				if n == 0 {
					break
				}
				for _, e := range parse(buf[:n]) {
					seen[e.name] = true
				}
				c.write("m/new"+itoa(i), "")
			}
			for _, e := range bare(150) {
				c.yes("saw "+e.path, seen[e.path[2:]])
			}
		}},
		{Name: "readdir/of a file", Layers: f, run: func(c *C) {
			_, err := unix.Getdents(c.open("d/a", unix.O_RDONLY, 0), make([]byte, 1000))
			c.fails(err, unix.ENOTDIR)
		}},
		{Name: "readdir/read of a directory", Layers: f, run: func(c *C) {
			_, err := unix.Read(c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0), make([]byte, 10))
			c.fails(err, unix.EISDIR)
		}},
		{Name: "readdir/dot dot of the root", Layers: f, run: func(c *C) {
			var up unix.Stat_t
			c.ok(unix.Lstat(c.p("d/.."), &up))
			c.eq("inode", up.Ino, c.stat("").Ino)
		}},
		{Name: "readdir/empty directory", Layers: Layers{{Dir("d")}}, run: func(c *C) {
			c.eq("entries", len(c.raw(c.open("d", unix.O_RDONLY|unix.O_DIRECTORY, 0))), 2)
		}},
	}
}

type dirent struct {
	ino  uint64
	off  int64
	kind byte
	name string
}

// raw reads a directory descriptor to its end with getdents64.
func (c *C) raw(fd int) (all []dirent) {
	buf := make([]byte, 8192)
	for {
		n, err := unix.Getdents(fd, buf)
		c.ok(err)
		if n == 0 {
			return all
		}
		all = append(all, parse(buf[:n])...)
	}
}
