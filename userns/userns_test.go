package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"rl/userns/idmap"
	"rl/userns/probe"
	"rl/userns/stage"
	"rl/userns/sys/fault"
)

func TestMain(m *testing.M) {
	stage.Dispatch(map[string]func() int{"report": report})
	os.Exit(m.Run())
}

// report is a stage that tells who it is.
func report() int {
	if _, err := Join(); err != nil {
		fmt.Println(err)
		return 1
	}
	uids, _ := os.ReadFile("/proc/self/uid_map")
	caps := ""
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps = strings.TrimSpace(v)
		}
	}
	fmt.Printf("uid %d gid %d caps %s map %s\n", os.Getuid(), os.Getgid(), caps, strings.Join(strings.Fields(string(uids)), " "))
	if len(os.Args) > 2 {
		fmt.Println("args", os.Args[2:])
	}
	return 7
}

func run(t *testing.T, c Config) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stage, c.Stdio[1] = "report", w
	child, err := Start(c)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Release(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	status, err := child.Wait()
	if err != nil || status.ExitStatus() != 7 {
		t.Errorf("status %v, %v, output %q", status, err, out)
	}
	return string(out)
}

func single(t *testing.T, asUID uint32) idmap.Map {
	t.Helper()
	m, err := idmap.Single(uint32(os.Geteuid()), uint32(os.Getegid()), asUID, asUID)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whoever the caller is in the namespace, it has every capability there: by being
// 0, or by ambient ones.
func TestSingleID(t *testing.T) {
	for _, uid := range []uint32{0, 33} {
		out := run(t, Config{Map: single(t, uid), Args: []string{"a b", "c"}})
		if want := fmt.Sprintf("uid %d gid %d ", uid, uid); !strings.Contains(out, want) || strings.Contains(out, "caps 0000000000000000") {
			t.Errorf("as %d: %q", uid, out)
		}
		if !strings.Contains(out, "args [a b c]") {
			t.Errorf("the arguments are gone: %q", out)
		}
	}
}

func TestSubordinateIDs(t *testing.T) {
	facts := probe.Quick()
	subuids, _, err := facts.SubUIDs()
	if err != nil || len(subuids) == 0 || !facts.Newuidmap().Usable() {
		t.Skip("this user has no subordinate ids in /etc/subuid and /etc/subgid, or newuidmap is missing")
	}
	subgids, _, err := facts.SubGIDs()
	if err != nil {
		t.Fatal(err)
	}
	m, err := idmap.Subordinate(uint32(os.Geteuid()), uint32(os.Getegid()), subuids, subgids)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, Config{Map: m, Helpers: true, Namespaces: syscall.CLONE_NEWNS})
	if !strings.Contains(out, "uid 0 gid 0") || strings.Contains(out, "caps 0000000000000000") || strings.Count(out, " ") < 10 {
		t.Errorf("%q", out)
	}
}

// A map that is not allowed ends the child, and the error says what newuidmap said.
func TestRefusedMap(t *testing.T) {
	if !probe.Quick().Newuidmap().Usable() {
		t.Skip("newuidmap is missing")
	}
	if os.Geteuid() == 0 {
		t.Skip("root may map anything")
	}
	m := idmap.Map{UIDs: idmap.Ranges{{Container: 0, Host: 0, Size: 1}}, GIDs: idmap.Ranges{{Container: 0, Host: 0, Size: 1}}}
	child, err := Start(Config{Stage: "report", Map: m, Helpers: true})
	if err != nil {
		t.Fatal(err)
	}
	err = child.Release()
	var f *fault.Error
	if !errors.As(err, &f) || f.Hint == "" || !strings.Contains(err.Error(), "newuidmap") {
		t.Errorf("%v", err)
	}
	if err := syscall.Kill(child.Pid, 0); err != syscall.ESRCH {
		t.Errorf("the child lives: %v", err)
	}
}

// A stage whose parent goes away before the maps are written ends.
func TestParentGone(t *testing.T) {
	child, err := Start(Config{Stage: "report", Map: single(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	child.Socket.Close()
	if status, err := child.Wait(); err != nil || status.ExitStatus() != 1 {
		t.Errorf("status %v, %v", status, err)
	}
}

func TestExplainClone(t *testing.T) {
	seen := map[string]bool{}
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOMEM} {
		err := explainClone(errno)
		if !errors.Is(err, errno) || seen[err.Error()] {
			t.Errorf("%v: %v", errno, err)
		}
		seen[err.Error()] = true
	}
}
