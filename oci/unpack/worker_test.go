package unpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
)

// identity is an id mapping the real worker runs under.
type identity struct {
	name     string
	rootless bool
	command  func(exe string, args ...string) *exec.Cmd
}

// identities are those that this user has: one id always, and subordinate ids where
// /etc/subuid gives some. As root, the mapped one is made of the machine's own ids.
func identities(t testing.TB) []identity {
	single := identity{"single", true, func(exe string, args ...string) *exec.Cmd {
		cmd := exec.Command(exe, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		return cmd
	}}
	mapped := identity{"mapped", false, func(exe string, args ...string) *exec.Cmd {
		if os.Getuid() == 0 {
			cmd := exec.Command(exe, args...)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
				UidMappings: []syscall.SysProcIDMap{{Size: 65536}},
				GidMappings: []syscall.SysProcIDMap{{Size: 65536}},
			}
			return cmd
		}
		return exec.Command("unshare", append([]string{"--user", "--mount", "--map-auto", "--map-root-user", "--", exe}, args...)...)
	}}
	if err := single.command("/bin/true").Run(); err != nil {
		t.Fatalf("this machine has no user namespaces: %v", err)
	}
	ids := []identity{single}
	if out, err := mapped.command("/bin/true").CombinedOutput(); err != nil {
		t.Logf("without the mapped identity: %s has no subordinate ids: %s", os.Getenv("HOME"), out)
	} else {
		ids = append(ids, mapped)
	}
	return ids
}

// onTmpfs is the identity with a memory filesystem over the working directory, which a
// command sees as the directory "fs" in it.
func (id identity) onTmpfs(size string) identity {
	inner := id.command
	id.command = func(exe string, args ...string) *exec.Cmd {
		script := `mount -t tmpfs -o mode=755,size=` + size + ` none "$PWD"; mkdir "$PWD/fs"; cd "$PWD/fs"; exec "$0" "$@"`
		return inner("/bin/sh", append([]string{"-ec", script, exe}, args...)...)
	}
	return id
}

// removeAll deletes a tree with files of subordinate ids.
func (id identity) removeAll(dir string) {
	out, err := id.command("/bin/rm", "-rf", dir).CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("rm -rf %s: %v: %s", dir, err, out))
	}
}

// sh runs a script as root of the identity's namespace.
func (id identity) sh(t testing.TB, dir, script string) string {
	t.Helper()
	cmd := id.command("/bin/sh", "-ec", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sh -c %q: %v\n%s", script, err, out)
	}
	return string(out)
}

// jail is a directory for a layer, and a canary tree beside it.
type jail struct {
	dir    string // to fill
	outer  string // everything below, dir's parent apart, must stay as it is
	before string
}

func newJail(t testing.TB, id identity) jail {
	t.Helper()
	outer, err := os.MkdirTemp("", "unpack-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { id.removeAll(outer) })
	j := jail{dir: filepath.Join(outer, "tmp", "txn", "fs"), outer: outer}
	for _, d := range []string{j.dir, filepath.Join(outer, "canary", "etc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outer, "canary", "etc", "passwd"), []byte("alive"), 0o644); err != nil {
		t.Fatal(err)
	}
	j.before = j.canary(t)
	return j
}

// canary lists everything but the layer: names, modes, times and contents.
func (j jail) canary(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(j.outer, func(path string, info os.FileInfo, err error) error {
		if path == j.dir {
			return filepath.SkipDir
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode())
		if info.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			fmt.Fprintf(&b, "  %d %q %v\n", info.ModTime().UnixNano(), raw, err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("the tree around the layer: %v", err)
	}
	return b.String()
}

// unpack runs the real worker, and checks that it left the rest of the tree alone.
func (j jail) unpack(t testing.TB, id identity, stream io.Reader, req Request) (Result, error) {
	t.Helper()
	req.Rootless = id.rootless
	res, _, err := j.measure(t, id, stream, req)
	if after := j.canary(t); after != j.before {
		t.Fatalf("the worker wrote outside of the layer:\nbefore\n%s\nafter\n%s", j.before, after)
	}
	return res, err
}

func (j jail) measure(t testing.TB, id identity, stream io.Reader, req Request) (Result, *syscall.Rusage, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reqR, reqW := pipe(t)
	repR, repW := pipe(t)
	defer reqR.Close()
	defer repR.Close()
	var stderr bytes.Buffer
	cmd := id.command(exe, "unpack-worker")
	cmd.Dir, cmd.Stdin, cmd.Stderr = j.dir, stream, &stderr
	cmd.ExtraFiles = []*os.File{reqR, repW}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	repW.Close()
	if err := json.NewEncoder(reqW).Encode(req); err != nil {
		t.Fatal(err)
	}
	reqW.Close()
	res, err := ReadReply(repR)
	werr := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(werr, &exit) != (err != nil) {
		t.Errorf("the worker's exit (%v) and its reply (%v) do not fit", werr, err)
	}
	if stderr.Len() > 0 {
		t.Errorf("the worker wrote to stderr: %s", &stderr)
	}
	return res, cmd.ProcessState.SysUsage().(*syscall.Rusage), err
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// request is the request for a plain tar.
func request(raw []byte) Request { return Request{DiffID: digest.FromBytes(raw)} }
