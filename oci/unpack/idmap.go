package unpack

import (
	"fmt"
	"os"
	"strings"

	"rl/oci"
	"rl/userns/sys/fault"
)

// idMaps are the ids that exist in this user namespace.
type idMaps struct{ users, groups idRanges }

type idRange struct{ first, count int64 }

type idRanges []idRange

// readIDMaps asks the kernel. It must come before chroot, which takes /proc away.
func readIDMaps() (ids idMaps, err error) {
	if ids.users, err = readIDMap("/proc/self/uid_map"); err != nil {
		return ids, err
	}
	ids.groups, err = readIDMap("/proc/self/gid_map")
	return ids, err
}

func readIDMap(path string) (idRanges, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the id mapping: %w", err)
	}
	var ranges idRanges
	for line := range strings.Lines(string(raw)) {
		var r idRange
		var outside int64
		if _, err := fmt.Sscan(line, &r.first, &outside, &r.count); err != nil {
			return nil, fmt.Errorf("read the id mapping %s: %w", path, err)
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func (r idRanges) has(id int64) bool {
	for _, m := range r {
		if id >= m.first && id < m.first+m.count {
			return true
		}
	}
	return false
}

func (r idRanges) count() (n int64) {
	for _, m := range r {
		n += m.count
	}
	return n
}

// maxID is the largest id there is: 2^32-1 means "unchanged" to chown(2).
const maxID = 1<<32 - 2

// check tells whether a file can be given to uid and gid. With rootless nothing is
// given away, the ids are only recorded, and must merely be ids.
func (m idMaps) check(uid, gid int, rootless bool) error {
	for _, it := range []struct {
		kind, file string
		id         int64
		ranges     idRanges
	}{{"user", "/etc/subuid", int64(uid), m.users}, {"group", "/etc/subgid", int64(gid), m.groups}} {
		if it.id < 0 || it.id > maxID {
			return fmt.Errorf("%s id %d, which cannot be: %w", it.kind, it.id, oci.ErrCorrupt)
		}
		if !rootless && !it.ranges.has(it.id) {
			n := it.ranges.count()
			return fault.New(fmt.Sprintf("an administrator can give this user a longer range in %s; with --userns=single no further ids are needed", it.file),
				"the image needs %s id %d, and the id mapping has %d %s", it.kind, it.id, n, plural(n, "id"))
		}
	}
	return nil
}

func plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
