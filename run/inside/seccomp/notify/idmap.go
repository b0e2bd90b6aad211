package notify

import (
	"fmt"
	"os"
	"strings"
)

// idMaps are the ids that exist in the container, which shares its user
// namespace with this process.
type idMaps struct{ users, groups ranges }

type ranges []struct{ first, count uint64 }

func (r ranges) has(id uint32) bool {
	for _, g := range r {
		if uint64(id) >= g.first && uint64(id) < g.first+g.count {
			return true
		}
	}
	return false
}

func readIDMaps() (m idMaps, err error) {
	if m.users, err = readRanges("/proc/self/uid_map"); err == nil {
		m.groups, err = readRanges("/proc/self/gid_map")
	}
	return m, err
}

func readRanges(path string) (ranges, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseRanges(string(raw))
}

// parseRanges reads lines of "first-inside first-outside count".
func parseRanges(text string) (ranges, error) {
	var r ranges
	for line := range strings.Lines(text) {
		var first, outside, count uint64
		if _, err := fmt.Sscan(line, &first, &outside, &count); err != nil {
			return nil, fmt.Errorf("id map %q: %w", strings.TrimSpace(line), err)
		}
		r = append(r, struct{ first, count uint64 }{first, count})
	}
	return r, nil
}
