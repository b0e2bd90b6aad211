package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
)

func acl(entries ...uint32) []byte { // tag, id, tag, id …
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for i := 0; i+1 < len(entries); i += 2 {
		b = binary.LittleEndian.AppendUint16(b, uint16(entries[i]))
		b = binary.LittleEndian.AppendUint16(b, 6)
		b = binary.LittleEndian.AppendUint32(b, entries[i+1])
	}
	return b
}

func TestForeignACL(t *testing.T) {
	users, err := parseRanges("         0       1000          1\n")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := parseRanges("5 1000 1\n10 4 2")
	if err != nil {
		t.Fatal(err)
	}
	m := idMaps{users, groups}
	const user, group, owner, mask, none = 2, 8, 1, 0x10, 0xffffffff
	for _, c := range []struct {
		what string
		acl  []byte
		want bool
	}{
		{"only owners", acl(owner, none, mask, none), false},
		{"the id that is here", acl(owner, none, user, 0), false},
		{"a user that is not", acl(owner, none, user, 0, user, 1), true},
		{"a group that is", acl(group, 5, group, 11), false},
		{"a group that is not", acl(group, 12), true},
		{"a group just before", acl(group, 9), true},
		{"empty", nil, false},
		{"another version", append([]byte{3}, acl(user, 7)[1:]...), false},
		{"cut short", acl(user, 7)[:9], false},
	} {
		if got := m.foreign(c.acl); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if _, err := parseRanges("0 1\n"); err == nil {
		t.Error("half a map is a map")
	}
}

func FuzzForeignACL(f *testing.F) {
	f.Add(acl(2, 7))
	m := idMaps{users: ranges{{0, 1}}, groups: ranges{{0, 1}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m.foreign(b) && len(b) < 12 {
			t.Error("a name in a list without entries")
		}
	})
}

// Reading stops where memory does, and says so only when nothing was there.
func TestMemory(t *testing.T) {
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	copy(mem[page-5:], "abcd\x00")
	at := uint64(uintptr(unsafe.Pointer(&mem[page-5])))
	s := &server{proc: "/proc/"}
	c := &call{pid: os.Getpid()}
	if str, ok := s.cString(c, at, maxName); !ok || str != "abcd" {
		t.Errorf("at the edge: %q %v", str, ok)
	}
	mem[page-1] = 'e'
	if str, ok := s.cString(c, at, maxName); ok {
		t.Errorf("without an end: %q", str)
	}
	for _, bad := range []uint64{0, at + 5, 1 << 63, ^uint64(0), ^uint64(0) - 10} {
		if n, err := s.memory(os.Getpid(), bad, make([]byte, 16)); err == nil || n > 0 {
			t.Errorf("%#x: read %d", bad, n)
		}
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if _, err := s.memory(pid, at, make([]byte, 1)); err == nil {
			t.Errorf("process %d was read", pid)
		}
	}
}

// The host's procfs does not number as a process in a pid namespace of its own
// does; seccomp's own tests run Serve there.
func TestNumbersAsWeDo(t *testing.T) {
	if !numbersAsWeDo("/proc/") {
		t.Error("the tests' own /proc is refused")
	}
	dir := t.TempDir() + "/"
	if numbersAsWeDo(dir) {
		t.Error("an empty directory is a procfs")
	}
	if err := os.Mkdir(dir+"self", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"self/status", []byte("Name:\tx\nNSpid:\t4321\t1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if numbersAsWeDo(dir) {
		t.Error("an outer namespace's procfs is taken")
	}
	fd, err := mountProc()
	if err == nil {
		defer unix.Close(fd)
	} else if os.Getuid() == 0 {
		t.Error(err)
	}
}

func TestUmaskOf(t *testing.T) {
	old := unix.Umask(0o137)
	defer unix.Umask(old)
	if got, err := umaskOf("/proc/self/status"); err != nil || got != 0o137 {
		t.Errorf("%o, %v", got, err)
	}
}

// Every call that the filter passes on has an answer here, by every entry.
func TestHandlersMatchTheFilter(t *testing.T) {
	h := handlers()
	want := 0
	for _, rule := range seccomp.FakeRootProfile(true).Syscalls {
		if rule.Action != "SCMP_ACT_NOTIFY" {
			continue
		}
		for _, name := range rule.Names {
			for _, e := range seccomp.Entries(name) {
				want++
				if h[e] == nil {
					t.Errorf("%s by %+v is asked and not answered", name, e)
				}
			}
		}
	}
	if want < 16 {
		t.Errorf("only %d entries", want)
	}
}

// Serve ends with its context and does not leave the descriptor open.
func TestServeEnds(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // pollable, never readable
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Serve(ctx, fd); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is still open: %v", err)
	}
	r, w, err := os.Pipe() // readable, but no listener
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	dup, err := unix.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), dup); err == nil || !strings.Contains(err.Error(), "receive") {
		t.Errorf("a pipe was served: %v", err)
	}
	w.Close()
}
