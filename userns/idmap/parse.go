package idmap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"rl/userns/sys/fault"
)

// maxLine is the longest line that is read; a longer one is passed over.
const maxLine = 4096

// ParseSub reads what /etc/subuid or /etc/subgid (file, for errors) grants to a
// user, in the order of the lines. Lines are "owner:start:count", the owner a
// login name or a uid, in subgid too (subuid(5)). Blank lines, comments and lines
// of others, however broken, are passed over. A broken line of the user's own
// is an error with its number: no numbers, no ids, past the last id, or ids
// granted before. The very same range twice (once by name, once by uid) is fine.
func ParseSub(r io.Reader, file, name string, uid uint32) ([]Span, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	var c collector
	err := eachLine(r, file, func(n int, line []byte) error {
		owner, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(owner) == 0 || string(owner) != name && string(owner) != id {
			return nil
		}
		start, count, ok := strings.Cut(string(rest), ":")
		if !ok {
			return lineError(file, n, "not of the form owner:start:count")
		}
		return c.add(file, n, start, count)
	})
	if err != nil {
		return nil, err
	}
	return c.spans, nil
}

// ParseGetsubids reads the output of getsubids(1), which asks NSS (LDAP, sssd)
// where shadow was built to: lines "0: owner start count". Only ranges of the
// user asked for are printed, so every line that is not of that form is an error.
func ParseGetsubids(r io.Reader) ([]Span, error) {
	const file = "getsubids"
	var c collector
	err := eachLine(r, file, func(n int, line []byte) error {
		f := strings.Fields(string(line))
		if len(f) != 4 || !strings.HasSuffix(f[0], ":") {
			return lineError(file, n, "not of the form \"number: owner start count\"")
		}
		return c.add(file, n, f[2], f[3])
	})
	if err != nil {
		return nil, err
	}
	return c.spans, nil
}

// ParseProcMap reads the contents of /proc/PID/uid_map or gid_map (file, for errors).
func ParseProcMap(r io.Reader, file string) (Ranges, error) {
	var out Ranges
	err := eachLine(r, file, func(n int, line []byte) error {
		f := strings.Fields(string(line))
		if len(f) != 3 {
			return lineError(file, n, "not three numbers")
		}
		var v [3]uint32
		for i, s := range f {
			x, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				return lineError(file, n, "not a number of an id: "+strconv.Quote(s))
			}
			v[i] = uint32(x)
		}
		out = append(out, Range{v[0], v[1], v[2]})
		if len(out) > maxLines {
			return lineError(file, n, "more lines than the kernel writes")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := out.Check(); err != nil {
		return nil, fault.New("", "%s: %w", file, err)
	}
	return out, nil
}

// collector gathers spans and sees to it that they are disjoint.
type collector struct{ spans []Span }

func (c *collector) add(file string, line int, startText, countText string) error {
	start, err := strconv.ParseUint(startText, 10, 64)
	if err != nil {
		return lineError(file, line, "the first id is not a number: "+strconv.Quote(startText))
	}
	count, err := strconv.ParseUint(countText, 10, 64)
	if err != nil {
		return lineError(file, line, "the count is not a number: "+strconv.Quote(countText))
	}
	switch {
	case count == 0:
		return lineError(file, line, "a range of no ids")
	case start > maxEnd || count > maxEnd || start+count > maxEnd:
		return lineError(file, line, "goes past the last id, 4294967294")
	}
	s := Span{uint32(start), uint32(count)}
	for _, have := range c.spans {
		if s == have {
			return nil
		}
		if start < end(have.Start, have.Size) && uint64(have.Start) < start+count {
			return lineError(file, line, "overlaps the range of "+strconv.FormatUint(uint64(have.Size), 10)+
				" ids from "+strconv.FormatUint(uint64(have.Start), 10)+" granted by an earlier line")
		}
	}
	if len(c.spans) >= maxLines {
		return lineError(file, line, "more than 340 ranges for one user, the most that the kernel can map")
	}
	c.spans = append(c.spans, s)
	return nil
}

func lineError(file string, line int, why string) error {
	return fault.New("an administrator can correct that line", "%s: line %d: %s", file, line, why)
}

// eachLine calls do for every line that is not blank, a comment, or too long
// to mean anything. It holds one line in memory, whatever the file's size.
func eachLine(r io.Reader, file string, do func(n int, line []byte) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			line, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fault.New("", "reading %s: %w", file, err)
		}
		if text := bytes.TrimSpace(line); !long && len(text) > 0 && text[0] != '#' {
			if err := do(n, text); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}
