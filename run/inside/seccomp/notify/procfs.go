package notify

import (
	"strconv"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// procfs opens a procfs that numbers processes as this process's pid namespace
// does, which is how the kernel names callers. The one at /proc may be the
// host's, while the monitor is pid 1 of a namespace of its own. It is mounted
// nowhere. Where the kernel refuses (inside a container with a masked /proc),
// /proc must do, and calls that need it are answered with ESRCH if it is another
// namespace's.
func procfs() (dir string, closer func()) {
	none := func() {}
	ctx, err := sys.Fsopen("proc")
	if err != nil {
		return "/proc/", none
	}
	defer ctx.Close()
	if ctx.Create() != nil {
		return "/proc/", none
	}
	fd, err := ctx.Fsmount(0)
	if err != nil {
		return "/proc/", none
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/", func() { _ = unix.Close(fd) }
}
