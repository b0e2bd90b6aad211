package fstest

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Names that are not letters.
func nameCases() []Case {
	long := strings.Repeat("n", 255)
	odd := []string{"with space", "new\nline", "tab\t", "quote'\"", `back\slash`, "colon:comma,", "*?[", "-rf", "...", "\xff\xfe not utf-8", "ünïcödé 名前", "\x01", ".wh.name", ".wh..wh..opq"}
	var all Layer
	for _, n := range odd {
		all = append(all, File("d/"+n, n))
	}
	return []Case{
		{Name: "name/odd ones of a layer", Layers: Layers{all}, run: func(c *C) {
			c.names("d", odd...)
			for _, n := range odd {
				c.content("d/"+n, n)
			}
		}},
		{Name: "name/odd ones copied up", Layers: Layers{all}, run: func(c *C) {
			for _, n := range odd {
				c.append("d/"+n, "+")
				c.content("d/"+n, n+"+")
			}
			c.names("d", odd...)
		}},
		{Name: "name/odd ones deleted and made again", Layers: Layers{all}, run: func(c *C) {
			for _, n := range odd {
				c.ok(unix.Unlink(c.p("d/" + n)))
				c.absent("d/" + n)
			}
			c.names("d")
			for _, n := range odd {
				c.write("d/"+n, "new")
			}
			c.names("d", odd...)
		}},
		{Name: "name/255 bytes", Layers: Layers{{File(long, "x"), File(long[1:]+"d/"+long, "y")}}, run: func(c *C) {
			c.content(long, "x")
			c.append(long, "+")
			c.content(long, "x+")
			c.ok(unix.Unlink(c.p(long)))
			c.write(long, "new")
			c.content(long, "new")
			c.append(long[1:]+"d/"+long, "+")
			c.content(long[1:]+"d/"+long, "y+")
		}},
		{Name: "name/256 bytes", Layers: Layers{{}}, run: func(c *C) {
			_, err := c.try(long+"n", unix.O_CREAT|unix.O_WRONLY, 0o600)
			c.fails(err, unix.ENAMETOOLONG)
			var st unix.Stat_t
			c.fails(unix.Lstat(c.p(long+"n"), &st), unix.ENAMETOOLONG)
		}},
		{Name: "name/letter case matters", Layers: Layers{{File("A", "upper"), File("a", "lower")}}, run: func(c *C) {
			c.content("A", "upper")
			c.content("a", "lower")
		}},
		{Name: "name/forms of Unicode are not the same", Layers: Layers{{File("\u00e9", "one"), File("e\u0301", "two")}}, run: func(c *C) {
			c.names("", "\u00e9", "e\u0301")
		}},
		{Name: "name/empty", Layers: Layers{{}}, run: func(c *C) {
			fd := c.open("", unix.O_PATH|unix.O_DIRECTORY, 0)
			_, err := unix.Openat(fd, "", unix.O_RDONLY, 0)
			c.fails(err, unix.ENOENT)
		}},
	}
}

// Many layers, deep trees.
func depthCases() []Case {
	deep := strings.TrimSuffix(strings.Repeat("d/", 250), "/")
	// Few inodes: a disk may take a millisecond for each.
	var stack, covers Layers
	for i := range 200 {
		l := Layer{File("l"+itoa(i), "")}
		if i%50 == 0 || i == 199 {
			l = Layer{File("l"+itoa(i), itoa(i)), File("every", itoa(i)), File("d/f"+itoa(i), "")}
		}
		stack = append(stack, l)
		if i < 64 {
			covers = append(covers, Layer{File("f", "")})
		}
	}
	covers[0] = Layer{File("f", "0")}
	return []Case{
		{Name: "depth/200 layers", Layers: stack, run: func(c *C) {
			c.content("every", "0")
			for _, i := range []int{0, 50, 100, 199} {
				c.content("l"+itoa(i), itoa(i))
			}
			c.names("d", "f0", "f50", "f100", "f150", "f199")
			c.eq("names", len(c.list("")), 202)
			c.append("l199", "+")
			c.content("l199", "199+")
		}},
		{Name: "depth/64 layers, one name", Layers: covers, run: func(c *C) {
			c.content("f", "0")
			c.ok(unix.Unlink(c.p("f")))
			c.absent("f")
			c.names("")
		}},
		{Name: "depth/250 levels", Layers: Layers{{File(deep+"/f", "x")}}, run: func(c *C) {
			c.append(deep+"/f", "y")
			c.content(deep+"/f", "xy")
		}},
		{Name: "depth/made below a directory of a layer", Layers: Layers{{Dir("a")}}, run: func(c *C) {
			path := "a"
			for range 100 {
				path += "/b"
				c.mkdir(path)
			}
			c.write(path+"/f", "x")
			c.content(path+"/f", "x")
		}},
	}
}
