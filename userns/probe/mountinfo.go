package probe

import (
	"strings"

	"rl/userns/idmap"
)

// mountPoints are the places of all mounts that this process sees.
func (f *Facts) mountPoints() []string {
	b, _ := f.h.ReadFile("/proc/self/mountinfo")
	var out []string
	for line := range strings.Lines(string(b)) {
		if w := strings.Fields(line); len(w) > 4 {
			out = append(out, w[4])
		}
	}
	return out
}

// chrooted reports whether the root directory is not the root of the mount
// namespace, which the kernel checks (kernel/user_namespace.c:
// current_chrooted). A chroot into a mount point cannot be told from outside.
func (f *Facts) chrooted() bool {
	points := f.mountPoints()
	for _, p := range points {
		if p == "/" {
			return false
		}
	}
	return len(points) > 0
}

// exists reports whether a namespace with table rs has the id.
func exists(rs idmap.Ranges, id int) bool { return rs.Covers(uint32(id)) }
