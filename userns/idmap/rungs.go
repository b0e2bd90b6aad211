package idmap

import (
	"cmp"
	"slices"

	"rl/userns/sys/fault"
)

// Straight maps every id that this namespace has to itself. The arguments are
// the namespace's own tables (see [ParseProcMap]). Writing the map takes
// CAP_SETUID and CAP_SETGID here, so it is root's rung.
func Straight(uids, gids []Range) (Map, error) {
	return checked(Map{UIDs: straight(uids), GIDs: straight(gids)})
}

func straight(have []Range) Ranges {
	out := make(Ranges, 0, len(have))
	for _, l := range have {
		out = append(out, Range{l.Container, l.Container, l.Size})
	}
	return out // not merged: the kernel wants each line within one line of the parent's table
}

// Subordinate makes the caller root and numbers the subordinate ids 1, 2, 3 …
// in the order in which they were granted.
func Subordinate(uid, gid uint32, subuids, subgids []Span) (Map, error) {
	return KeepID(uid, gid, 0, 0, subuids, subgids)
}

// KeepID gives the caller the ids asUID and asGID inside (podman's keep-id:
// the caller's own, unless told otherwise) and numbers the subordinate ids
// 0, 1, 2 … around them. With fewer subordinate ids than asUID a hole is left
// below it.
func KeepID(uid, gid, asUID, asGID uint32, subuids, subgids []Span) (Map, error) {
	u, err := around(uid, asUID, subuids)
	if err != nil {
		return Map{}, err
	}
	g, err := around(gid, asGID, subgids)
	if err != nil {
		return Map{}, err
	}
	return checked(Map{UIDs: u, GIDs: g})
}

// Single has one user and one group: the caller, called asUID and asGID inside.
// It is the only map that an unprivileged process can write by itself.
func Single(uid, gid, asUID, asGID uint32) (Map, error) {
	return checked(Map{UIDs: Ranges{{asUID, uid, 1}}, GIDs: Ranges{{asGID, gid, 1}}})
}

// around places the caller at id as and the spans' ids in order around it.
func around(caller, as uint32, spans []Span) (Ranges, error) {
	out := Ranges{{as, caller, 1}}
	next := uint64(0) // the next free container id
	for _, s := range without(spans, caller) {
		host, left := s.Start, uint64(s.Size)
		for left > 0 {
			if next == uint64(as) {
				next++
			}
			n := left
			if next < uint64(as) {
				n = min(n, uint64(as)-next)
			}
			if next+n > maxEnd {
				return nil, fault.New("give the user fewer subordinate ids", "id map: more ids than the kernel can number")
			}
			out = append(out, Range{uint32(next), host, uint32(n)})
			next, left = next+n, left-n
			host += uint32(n)
		}
	}
	return tidy(out), nil
}

// without takes one id out of the spans: a caller whose own id lies within a
// subordinate range would be mapped twice, which the kernel refuses.
func without(spans []Span, id uint32) []Span {
	out := make([]Span, 0, len(spans)+1)
	for _, s := range spans {
		if id < s.Start || uint64(id) >= end(s.Start, s.Size) {
			out = append(out, s)
			continue
		}
		if n := id - s.Start; n > 0 {
			out = append(out, Span{s.Start, n})
		}
		if n := s.Size - (id - s.Start) - 1; n > 0 {
			out = append(out, Span{id + 1, n})
		}
	}
	return out
}

// tidy sorts by container id and joins what continues: the canonical form of a
// table. Tables with the same pairs come out the same.
func tidy(r Ranges) Ranges {
	sorted := slices.SortedFunc(slices.Values(r), func(a, b Range) int { return cmp.Compare(a.Container, b.Container) })
	out := sorted[:0]
	for _, l := range sorted {
		if len(out) > 0 {
			last := &out[len(out)-1]
			if end(last.Container, last.Size) == uint64(l.Container) && end(last.Host, last.Size) == uint64(l.Host) &&
				uint64(last.Size)+uint64(l.Size) <= maxEnd {
				last.Size += l.Size
				continue
			}
		}
		out = append(out, l)
	}
	return out
}

func checked(m Map) (Map, error) {
	if err := m.UIDs.Check(); err != nil {
		return Map{}, err
	}
	if err := m.GIDs.Check(); err != nil {
		return Map{}, err
	}
	return m, nil
}
