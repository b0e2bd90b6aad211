package probe

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rl/userns/idmap"
)

// spans are the ids that exist inside a namespace, by its own numbers and in order.
func spans(rs idmap.Ranges) []idmap.Span {
	out := make([]idmap.Span, 0, len(rs))
	for _, r := range rs {
		out = append(out, idmap.Span{Start: r.Container, Size: r.Size})
	}
	slices.SortFunc(out, func(a, b idmap.Span) int { return cmp.Compare(a.Start, b.Start) })
	return out
}

func end(s idmap.Span) uint64 { return uint64(s.Start) + uint64(s.Size) }

func spanText(s idmap.Span) string { return fmt.Sprintf("%d-%d", s.Start, end(s)-1) }

func total(list []idmap.Span) uint64 {
	var n uint64
	for _, s := range list {
		n += uint64(s.Size)
	}
	return n
}

// fromZero is how many ids exist without a gap from 0 on.
func fromZero(rs idmap.Ranges) uint64 {
	var next uint64
	for _, s := range spans(rs) {
		if uint64(s.Start) > next {
			break
		}
		next = max(next, end(s))
	}
	return next
}

// covered reports whether all ids of s exist in a namespace with table rs.
func covered(s idmap.Span, rs idmap.Ranges) bool {
	next := uint64(s.Start)
	for _, in := range spans(rs) {
		if uint64(in.Start) <= next && next < end(in) {
			next = end(in)
		}
	}
	return next >= end(s)
}

// granted are the ranges that a subuid file gives to anybody. Broken lines
// are passed over: nobody has those ids.
func granted(text string) []idmap.Span {
	var out []idmap.Span
	for line := range strings.Lines(text) {
		w := strings.Split(strings.TrimSpace(line), ":")
		if len(w) != 3 || strings.HasPrefix(w[0], "#") {
			continue
		}
		start, err1 := strconv.ParseUint(w[1], 10, 32)
		size, err2 := strconv.ParseUint(w[2], 10, 32)
		if err1 == nil && err2 == nil {
			out = append(out, idmap.Span{Start: uint32(start), Size: uint32(size)})
		}
	}
	return out
}

// freeSpan finds size ids that nobody was given, from first on in steps of
// size: what an administrator may give to the next user.
func freeSpan(used []idmap.Span, first, size uint32) (idmap.Span, bool) {
	for at := uint64(first); at+uint64(size) < 1<<32-1; at += uint64(size) {
		s := idmap.Span{Start: uint32(at), Size: size}
		if !slices.ContainsFunc(used, func(u idmap.Span) bool {
			return uint64(u.Start) < end(s) && uint64(s.Start) < end(u)
		}) {
			return s, true
		}
	}
	return idmap.Span{}, false
}
