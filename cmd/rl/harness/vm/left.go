package vm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// left says what there is of rl in the whole machine: processes, of rl and of
// containers; control groups; containers, names and unfinished work of every
// user; sockets. The cgroup that callers were moved to is theirs, not a container's.
func left() (found []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || pid == os.Getpid() {
			continue
		}
		how := ""
		if exe, _ := os.Readlink(proc + "/exe"); filepath.Base(exe) == "rl" {
			how = "rl"
		}
		// What a container mounts shows, whatever runs there.
		if mounts, _ := os.ReadFile(proc + "/mountinfo"); strings.Contains(string(mounts), "/.local/share/rl/") {
			how = "mounts"
		}
		if how != "" {
			raw, _ := os.ReadFile(proc + "/cmdline")
			found = append(found, fmt.Sprintf("process %d (%s): %s", pid, how, strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " "))))
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "rl-") && d.Name() != "rl-callers" && !strings.HasPrefix(d.Name(), "rl-test") {
			found = append(found, "cgroup: "+path)
		}
		return nil
	})
	for _, dir := range []string{"containers", "ephemeral", "names", "tmp"} {
		entries, _ := filepath.Glob("/home/*/.local/share/rl/" + dir + "/*")
		for _, e := range entries {
			found = append(found, "file: "+e)
		}
	}
	for _, top := range []string{"/run/user", "/tmp", "/var/tmp"} {
		filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSocket != 0 && strings.Contains(path, "/rl") {
				found = append(found, "socket: "+path)
			}
			return nil
		})
	}
	return found
}
