package idmap

import (
	"strconv"
	"strings"
)

// Within is the map as a process in the namespace of another one sees it: outside are
// the ids of that. It is how a layer that was written under m reads in here. ok is
// false when not all of it can be told: an id that has no place in here outside, where
// its files cannot be read, or inside, where it cannot be shown.
func (m Map) Within(here Map) (seen Map, ok bool) {
	var users, groups bool
	seen.UIDs, users = m.UIDs.within(here.UIDs)
	seen.GIDs, groups = m.GIDs.within(here.GIDs)
	return seen, users && groups
}

func (r Ranges) within(here Ranges) (Ranges, bool) {
	var out Ranges
	shown := uint64(0)
	for _, l := range r {
		for _, h := range here {
			if first, n := common(l.Host, l.Size, h.Host, h.Size); n > 0 {
				out = append(out, Range{l.Container + (first - l.Host), h.Container + (first - h.Host), n})
			}
			_, n := common(l.Container, l.Size, h.Container, h.Size)
			shown += uint64(n)
		}
	}
	return tidy(out), out.Size() == r.Size() && shown == r.Size()
}

// common is what two ranges have in common.
func common(a, na, b, nb uint32) (first, n uint32) {
	first = max(a, b)
	last := min(end(a, na), end(b, nb))
	if uint64(first) >= last {
		return 0, 0
	}
	return first, uint32(last - uint64(first))
}

// ParseName reads a map's [Map.Name]. A name that was cut, and that of the single-id
// maps, say not enough.
func ParseName(name string) (m Map, ok bool) {
	users, found := strings.CutPrefix(name, "u")
	if !found {
		return m, false
	}
	users, groups, both := strings.Cut(users, "-g")
	if !both {
		groups = users
	}
	m.UIDs, m.GIDs = rangesOf(users), rangesOf(groups)
	if m.UIDs.Check() != nil || m.GIDs.Check() != nil || m.Name() != name {
		return Map{}, false
	}
	return m, true
}

// rangesOf undoes nameOf; what is no such text comes out with another name.
func rangesOf(text string) (r Ranges) {
	next := uint64(0)
	for part := range strings.SplitSeq(text, "-") {
		l := Range{Container: uint32(next), Size: 1}
		if first, rest, ok := strings.Cut(part, "_"); ok {
			l.Container, part = number(first), rest
		}
		host, count, ok := strings.Cut(part, "x")
		if l.Host = number(host); ok {
			l.Size = number(count)
		}
		r = append(r, l)
		next = end(l.Container, l.Size)
	}
	return r
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}
