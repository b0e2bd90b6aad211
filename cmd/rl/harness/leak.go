package harness

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process that knows a script's directory, and how it shows.
type process struct {
	pid  int
	how  string
	line string // its command line
}

func (p process) String() string { return fmt.Sprintf("process %d (%s): %s", p.pid, p.how, p.line) }

// users lists the processes that have to do with a directory: by command line,
// environment, working directory, open file or mount. A container's processes
// show by their mounts, whatever they call themselves: their root is an overlay
// below that directory.
func users(dir string) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	own, _ := os.ReadFile("/proc/self/cmdline")
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if how := uses(pid, dir); how != "" {
			raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.Equal(raw, own) { // another script's, between fork and exec: it has all our files
				continue
			}
			found = append(found, process{pid, how, strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " "))})
		}
	}
	return found
}

func uses(pid int, dir string) string {
	proc := fmt.Sprintf("/proc/%d/", pid)
	if state(pid) == 'Z' { // dead, and somebody else's to reap
		return ""
	}
	for _, f := range []string{"cmdline", "environ", "mountinfo"} {
		if raw, err := os.ReadFile(proc + f); err == nil && mentions(string(raw), dir) {
			return f
		}
	}
	for _, l := range []string{"cwd", "root", "exe"} {
		if to, err := os.Readlink(proc + l); err == nil && mentions(to, dir) {
			return l
		}
	}
	fds, _ := os.ReadDir(proc + "fd")
	for _, fd := range fds {
		if to, err := os.Readlink(proc + "fd/" + fd.Name()); err == nil && mentions(to, dir) {
			return "open file " + strings.TrimPrefix(to, dir)
		}
	}
	return ""
}

// mentions tells whether a directory is in a text, or what is below it: script-pull is not in
// script-pull-wrong.
func mentions(text, dir string) bool {
	for {
		_, after, found := strings.Cut(text, dir)
		if !found {
			return false
		}
		if after == "" || !strings.ContainsRune(partOfName, rune(after[0])) {
			return true
		}
		text = after
	}
}

const partOfName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func state(pid int) byte {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 'Z'
	}
	if i := strings.LastIndexByte(string(raw), ')'); i >= 0 && i+2 < len(raw) {
		return raw[i+2]
	}
	return 0
}

// leftovers says what of rl a script's directory still has: processes, mounts,
// containers, their names, unfinished work, sockets. Images and layers may stay.
func leftovers(work, root, runtimeDir string) []string {
	var found []string
	for _, p := range users(work) {
		found = append(found, p.String())
	}
	if raw, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if mentions(line, work) {
				found = append(found, "mount: "+strings.TrimSpace(line))
			}
		}
	}
	for _, dir := range []string{"containers", "ephemeral", "names", "tmp"} {
		entries, _ := os.ReadDir(filepath.Join(root, dir))
		for _, e := range entries {
			found = append(found, "file: "+filepath.Join(root, dir, e.Name()))
		}
	}
	filepath.WalkDir(filepath.Join(runtimeDir, "rl"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSocket != 0 {
			found = append(found, "socket: "+path)
		}
		return nil
	})
	return found
}

// settle waits until nothing is left behind, or says what stays.
func settle(work, root, runtimeDir string, patience time.Duration) []string {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left := leftovers(work, root, runtimeDir)
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// reap ends everything that still has to do with a directory: a script that
// failed must not leave containers to the next one.
func reap(dir string) {
	for range 3 {
		list := users(dir)
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// children are the children of a process, oldest first.
func children(pid int) []int {
	var list []int
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for f := range strings.FieldsSeq(string(raw)) {
			if child, err := strconv.Atoi(f); err == nil {
				list = append(list, child)
			}
		}
	}
	slices.Sort(list)
	return list
}

// member finds a process of a running container by its place: the front is rl
// itself, the monitor its child, init the monitor's.
func member(front int, role string) (int, error) {
	depth, ok := map[string]int{"front": 0, "monitor": 1, "init": 2}[role]
	if !ok {
		return 0, fmt.Errorf("no such process as the %s: front, monitor or init", role)
	}
	pid := front
	for ; depth > 0; depth-- {
		kids := children(pid)
		if len(kids) == 0 {
			return 0, fmt.Errorf("process %d has no child: no %s to be found", pid, role)
		}
		pid = kids[len(kids)-1]
	}
	return pid, nil
}
