package cgroup

import (
	"strconv"
	"strings"
	"time"
)

// Usage is what a cgroup has used so far. What its controllers do not tell, because they are
// not there, is -1.
type Usage struct {
	CPU           time.Duration
	Memory, Limit int64 // bytes; the page cache that can be dropped at once is left out, as docker does
	PIDs          int64
	Read, Written int64 // bytes of block devices
}

// Usage reads it.
func (g Group) Usage() Usage {
	return parseUsage(func(file string) string { return read(g.Dir, file) })
}

func parseUsage(read func(file string) string) Usage {
	u := Usage{CPU: -1, Memory: count(read("memory.current")), Limit: count(read("memory.max")), PIDs: count(read("pids.current")), Read: -1, Written: -1}
	if n := count(field(read("cpu.stat"), "usage_usec")); n >= 0 {
		u.CPU = time.Duration(n) * time.Microsecond
	}
	if cache := count(field(read("memory.stat"), "inactive_file")); cache > 0 && u.Memory >= cache {
		u.Memory -= cache
	}
	if io := read("io.stat"); io != "" {
		u.Read, u.Written = 0, 0
		for word := range strings.FieldsSeq(io) {
			key, value, _ := strings.Cut(word, "=")
			switch n := count(value); {
			case n < 0:
			case key == "rbytes":
				u.Read += n
			case key == "wbytes":
				u.Written += n
			}
		}
	}
	return u
}

// count is a number of a cgroup's file; -1 for "max" and for what is not there.
func count(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
