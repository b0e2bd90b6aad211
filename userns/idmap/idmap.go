// Package idmap computes which ids a container has and what they are outside.
//
// A user namespace carries two tables, one of user ids and one of group ids,
// each of at most 340 lines "inside outside count". A process without
// privileges may write one line, its own id; more take newuidmap and newgidmap,
// which allow what /etc/subuid and /etc/subgid grant. Hence the rungs:
//
//	Straight     0..n        -> 0..n             every id that this namespace has
//	Subordinate  0           -> caller           caller is root inside,
//	             1..65536    -> 100000..165535   the others are subordinate ids
//	KeepID       1000        -> caller           caller keeps an id,
//	             0..999,...  -> 100000..         subordinate ids fill the rest
//	Single       0           -> caller           nothing else exists
//
// Everything here is pure: contents of files go in, tables come out, and no
// table that the kernel would refuse (overlaps, wrap-around, too long) ever
// does. Reading the files, running the helpers and choosing the rung are done
// elsewhere (userns, userns/probe).
package idmap

import (
	"cmp"
	"slices"
	"strconv"

	"rl/userns/sys/fault"
)

// Limits of a table, from the kernel's map_write (kernel/user_namespace.c):
// 340 lines since Linux 4.15, written at once and shorter than a page.
const (
	maxLines = 340
	maxBytes = 4096 - 1
)

// maxEnd is one past the largest id: 4294967295 is -1, "no id", for the kernel.
const maxEnd = 1<<32 - 1

// Range is one line of a table: Size ids that begin with Container inside the
// namespace and with Host outside (in the namespace of whoever writes the map).
type Range struct{ Container, Host, Size uint32 }

// Ranges is a table of user ids or of group ids.
type Ranges []Range

// Map is the two tables of a user namespace.
type Map struct{ UIDs, GIDs Ranges }

// Span is Size ids that begin with Start: what /etc/subuid grants in one line.
type Span struct{ Start, Size uint32 }

// ToHost tells what a container's id is outside; false when it has no meaning there.
func (r Ranges) ToHost(id uint32) (uint32, bool) {
	for _, l := range r {
		if id >= l.Container && id-l.Container < l.Size {
			return l.Host + (id - l.Container), true
		}
	}
	return 0, false
}

// ToContainer tells what an outside id is called in the container; false when
// it shows there as the overflow id (nobody).
func (r Ranges) ToContainer(id uint32) (uint32, bool) {
	for _, l := range r {
		if id >= l.Host && id-l.Host < l.Size {
			return l.Container + (id - l.Host), true
		}
	}
	return 0, false
}

// Covers tells whether the container has the id.
func (r Ranges) Covers(id uint32) bool {
	_, ok := r.ToHost(id)
	return ok
}

// Size is the number of ids the container has.
func (r Ranges) Size() uint64 {
	var n uint64
	for _, l := range r {
		n += uint64(l.Size)
	}
	return n
}

// String is the text for /proc/PID/uid_map: one "inside outside count" a line.
func (r Ranges) String() string {
	var b []byte
	for _, l := range r {
		b = appendIDs(b, l, ' ')
		b = append(b, '\n')
	}
	return string(b)
}

func appendIDs(b []byte, l Range, sep byte) []byte {
	b = strconv.AppendUint(b, uint64(l.Container), 10)
	b = append(b, sep)
	b = strconv.AppendUint(b, uint64(l.Host), 10)
	b = append(b, sep)
	return strconv.AppendUint(b, uint64(l.Size), 10)
}

// NewidmapArgs is the arguments of newuidmap or newgidmap, without the name of
// the program: the process id and three numbers a line.
func NewidmapArgs(pid int, r []Range) []string {
	args := make([]string, 0, 1+3*len(r))
	args = append(args, strconv.Itoa(pid))
	for _, l := range r {
		args = append(args,
			strconv.FormatUint(uint64(l.Container), 10),
			strconv.FormatUint(uint64(l.Host), 10),
			strconv.FormatUint(uint64(l.Size), 10))
	}
	return args
}

// Check tells why the kernel would refuse the table, or nil. Constructors of
// this package return only tables that pass.
func (r Ranges) Check() error {
	for _, l := range r {
		if l.Size == 0 {
			return fault.New("", "id map: a range of no ids at container id %d", l.Container)
		}
		if end(l.Container, l.Size) > maxEnd || end(l.Host, l.Size) > maxEnd {
			return fault.New("", "id map: %d ids from %d (outside %d) go past the last id", l.Size, l.Container, l.Host)
		}
	}
	inside := slices.SortedFunc(slices.Values(r), func(a, b Range) int { return cmp.Compare(a.Container, b.Container) })
	for i := 1; i < len(inside); i++ {
		if a, b := inside[i-1], inside[i]; end(a.Container, a.Size) > uint64(b.Container) {
			return fault.New("", "id map: container id %d is mapped twice", b.Container)
		}
	}
	outside := slices.SortedFunc(slices.Values(r), func(a, b Range) int { return cmp.Compare(a.Host, b.Host) })
	for i := 1; i < len(outside); i++ {
		if a, b := outside[i-1], outside[i]; end(a.Host, a.Size) > uint64(b.Host) {
			return fault.New("", "id map: host id %d is mapped twice", b.Host)
		}
	}
	if n := len(r.String()); len(r) > maxLines || n > maxBytes {
		return fault.New("give the user fewer and larger ranges in /etc/subuid and /etc/subgid",
			"id map: %d lines, %d bytes: the kernel takes at most %d lines and %d bytes", len(r), n, maxLines, maxBytes)
	}
	return nil
}

func end(start, size uint32) uint64 { return uint64(start) + uint64(size) }
