package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"rl/userns/sys/fault"
)

// TestFullDisk fills a small filesystem, in a user namespace of its own: the store says
// so, stays as it was, and can be emptied.
func TestFullDisk(t *testing.T) {
	cmd := exec.Command(must(os.Executable()), "store-helper", "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// fullDisk is the other process; it prints what is wrong.
func fullDisk(root string) {
	if err := syscall.Mount("none", root, "tmpfs", 0, "size=256k"); err != nil {
		fmt.Println("mount:", err)
		return
	}
	s := must(Open(root))
	put := func(name, raw string) {
		d := blob([]byte(raw), "")
		if err := s.Fetch(context.Background(), d, from(raw, nil), nil); err != nil {
			fmt.Println(name, err)
		}
	}
	put("small", strings.Repeat("s", 100000))
	big := strings.Repeat("b", 1<<20)
	err := s.Fetch(context.Background(), blob([]byte(big), ""), from(big, nil), nil)
	var f *fault.Error
	if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &f) || !strings.Contains(f.Hint, "rl rmi") || !strings.Contains(f.Hint, root) {
		fmt.Println("a blob that does not fit:", err)
	}
	if entries := must(os.ReadDir(s.path("tmp"))); len(entries) != 0 || s.HasBlob(digest.FromString(big)) {
		fmt.Println("left behind:", entries)
	}
	// To the last block.
	filler := must(os.Create(s.path("containers-filler")))
	for _, n := range []int{4096, 1} {
		for {
			if _, err := filler.Write(make([]byte, n)); err != nil {
				break
			}
		}
	}
	if err := s.PutBlob(blob([]byte("x"), ""), []byte("x")); !errors.Is(err, syscall.ENOSPC) {
		fmt.Println("a full disk took a blob:", err)
	}
	if freed, err := s.Collect(os.RemoveAll); freed != 100000 || err != nil {
		fmt.Println("collect:", freed, err)
	}
	put("after", strings.Repeat("a", 50000))
}
