package notify

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// procfs opens a procfs that numbers processes as this process's pid namespace
// does, which is how the kernel names callers. The one at /proc may be the
// host's, while the monitor is pid 1 of a namespace of its own. It is mounted
// nowhere.
//
// Where the kernel refuses one (inside a container with a masked /proc), /proc
// must do, if it is this namespace's. If not, dir is "": by the numbers there,
// another process would be taken for the caller, and devices' stand-ins be made
// in its view of the files, perhaps the host's.
func procfs() (dir string, closer func()) {
	if fd, err := mountProc(); err == nil {
		return "/proc/self/fd/" + strconv.Itoa(fd) + "/", func() { _ = unix.Close(fd) }
	}
	if dir = "/proc/"; !numbersAsWeDo(dir) {
		dir = ""
	}
	return dir, func() {}
}

func mountProc() (fd int, err error) {
	ctx, err := sys.Fsopen("proc")
	if err != nil {
		return -1, err
	}
	defer ctx.Close()
	if err := ctx.Create(); err != nil {
		return -1, err
	}
	return ctx.Fsmount(0)
}

// numbersAsWeDo says whether a procfs belongs to this pid namespace: then, of
// the numbers a process has from the procfs's namespace inwards (NSpid, 4.1),
// we have one.
func numbersAsWeDo(dir string) bool {
	raw, err := os.ReadFile(dir + "self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return len(strings.Fields(pids)) == 1
		}
	}
	return false
}
