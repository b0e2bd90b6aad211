package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
)

// empty fails when something is left in tmp or locks.
func empty(t *testing.T, s *Store) {
	t.Helper()
	for _, dir := range []string{"tmp", "locks"} {
		if left := must(os.ReadDir(s.path(dir))); len(left) != 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
}

func TestFetch(t *testing.T) {
	s := open(t)
	data := strings.Repeat("some bytes ", 100000)
	d := blob([]byte(data), v1.MediaTypeImageLayer)
	asked := 0
	for i := range 3 {
		var tee bytes.Buffer
		if err := s.Fetch(t.Context(), d, from(data, &asked), &tee); err != nil {
			t.Fatal(err)
		}
		if tee.String() != data {
			t.Errorf("%d: tee got %d bytes, want %d", i, tee.Len(), len(data))
		}
	}
	if err := s.Fetch(t.Context(), d, from(data, &asked), nil); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	f, err := s.OpenBlob(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := must(io.ReadAll(f)); string(got) != data || !s.HasBlob(d.Digest) {
		t.Error("the blob is not what was fetched")
	}
	empty(t, s)
}

func TestFetchRefuses(t *testing.T) {
	s := open(t)
	good := blob([]byte("good bytes"), "")
	lost, full := errors.New("connection lost"), errors.New("consumer gave up")
	for _, tc := range []struct {
		name string
		d    v1.Descriptor
		open func(context.Context) (io.ReadCloser, error)
		tee  io.Writer
		want string
		is   error
	}{
		{name: "short", d: good, open: from("good", nil), want: "expected 10 bytes, got 4", is: oci.ErrCorrupt},
		{name: "long", d: good, open: from("good bytes and more", nil), want: "longer than the 10 bytes expected", is: oci.ErrCorrupt},
		{name: "other bytes", d: good, open: from("evil bytes", nil), want: "expected " + good.Digest.String() + ", got " + digest.FromString("evil bytes").String(), is: oci.ErrCorrupt},
		{name: "digest is a path", d: v1.Descriptor{Digest: "sha256:../../../x", Size: 1}, open: from("x", nil), want: "digest", is: oci.ErrCorrupt},
		{name: "digest of an unknown kind", d: v1.Descriptor{Digest: "md5:0123", Size: 1}, open: from("x", nil), want: "digest", is: oci.ErrCorrupt},
		{name: "negative size", d: v1.Descriptor{Digest: good.Digest, Size: -1}, open: from("x", nil), want: "negative size", is: oci.ErrCorrupt},
		{name: "no source", d: good, open: func(context.Context) (io.ReadCloser, error) { return nil, oci.ErrUnauthorized }, is: oci.ErrUnauthorized},
		{name: "lost connection", d: good, open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("good"), iotest.ErrReader(lost))), nil
		}, is: lost},
		{name: "tee fails", d: good, open: from("good bytes", nil), tee: failing{full}, is: full},
	} {
		err := s.Fetch(t.Context(), tc.d, tc.open, tc.tee)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.is != oci.ErrCorrupt && errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%s is called corrupt: %v", tc.name, err)
		}
		if s.HasBlob(tc.d.Digest) {
			t.Errorf("%s: the blob was published", tc.name)
		}
		empty(t, s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Fetch(ctx, good, from("good bytes", nil), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	empty(t, s)
	for _, raw := range []string{"good", "evil bytes"} {
		if err := s.PutBlob(good, []byte(raw)); !errors.Is(err, oci.ErrCorrupt) || s.HasBlob(good.Digest) {
			t.Errorf("PutBlob %s: %v", raw, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestFetchMendsDamage: a blob that the disk cut off is fetched again; one with other
// bytes is found by whoever reads it, removed, and fetched the next time.
func TestFetchMendsDamage(t *testing.T) {
	s := open(t)
	d := blob([]byte("good bytes"), "")
	asked := 0
	fetch := func() (string, error) {
		var tee bytes.Buffer
		err := s.Fetch(t.Context(), d, from("good bytes", &asked), &tee)
		return tee.String(), err
	}
	must(fetch())
	os.WriteFile(s.blobPath(d.Digest), []byte("goo"), 0o600)
	if _, err := s.OpenBlob(d); !errors.Is(err, oci.ErrCorrupt) {
		t.Errorf("OpenBlob of a short blob: %v", err)
	}
	if got, err := fetch(); got != "good bytes" || err != nil || asked != 2 {
		t.Errorf("%q, %v, asked %d times", got, err, asked)
	}
	os.WriteFile(s.blobPath(d.Digest), []byte("evil bytes"), 0o600)
	if _, err := fetch(); !errors.Is(err, oci.ErrCorrupt) || !strings.Contains(err.Error(), "has been removed") {
		t.Errorf("reading a damaged blob: %v", err)
	}
	if got, err := fetch(); got != "good bytes" || err != nil || asked != 3 {
		t.Errorf("%q, %v, asked %d times", got, err, asked)
	}
	empty(t, s)
}

// TestFetchOnce: many ask at once, one downloads, all get every byte.
func TestFetchOnce(t *testing.T) {
	s := open(t)
	data := strings.Repeat("0123456789", 100000)
	d := blob([]byte(data), "")
	var asked atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			other := must(Open(s.Root()))
			var tee bytes.Buffer
			err := other.Fetch(t.Context(), d, func(context.Context) (io.ReadCloser, error) {
				asked.Add(1)
				time.Sleep(50 * time.Millisecond)
				return io.NopCloser(strings.NewReader(data)), nil
			}, &tee)
			if err != nil || tee.String() != data {
				t.Errorf("tee got %d bytes, %v", tee.Len(), err)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("fetched %d times", asked.Load())
	}
	empty(t, s)
}

// TestFetchGivesUpWaiting: who waits for another's download obeys its context.
func TestFetchGivesUpWaiting(t *testing.T) {
	s := open(t)
	d := blob([]byte("x"), "")
	l := must(s.tryAcquire(blobLock(d.Digest)))
	defer l.release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Fetch(ctx, d, from("x", nil), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
}

// helper is the other process of the tests below.
func helper(args []string) {
	if args[0] == "full" {
		fullDisk(args[1])
		return
	}
	s := must(Open(args[1]))
	data := strings.Repeat("0123456789", 100000)
	d := blob([]byte(data), "")
	switch args[0] {
	case "fetch":
		var tee bytes.Buffer
		err := s.Fetch(context.Background(), d, func(context.Context) (io.ReadCloser, error) {
			fmt.Println("asked")
			time.Sleep(20 * time.Millisecond)
			return io.NopCloser(strings.NewReader(data)), nil
		}, &tee)
		if err != nil || tee.String() != data {
			fmt.Println("failed", tee.Len(), err)
		}
	case "hang": // in the middle of a download, a layer, a lease
		release := must(s.Protect(d.Digest))
		defer release()
		txn := must(s.BeginLayer(context.Background(), "map", d.Digest))
		must(0, os.WriteFile(txn.Dir()+"/file", []byte("half"), 0o600))
		err := s.Fetch(context.Background(), d, func(context.Context) (io.ReadCloser, error) {
			r, w := io.Pipe()
			go func() {
				w.Write([]byte(data[:500000]))
				fmt.Println("hanging")
				time.Sleep(time.Hour)
			}()
			return r, nil
		}, nil)
		fmt.Println("ended", err, txn.Abort(os.RemoveAll))
	}
}

func command(s *Store, what string) *exec.Cmd {
	return exec.Command(must(os.Executable()), "store-helper", what, s.Root())
}

func TestFetchOnceAcrossProcesses(t *testing.T) {
	s := open(t)
	var out [8]bytes.Buffer
	var cmds [8]*exec.Cmd
	for i := range cmds {
		cmds[i] = command(s, "fetch")
		cmds[i].Stdout = &out[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	var all strings.Builder
	for i := range cmds {
		if err := cmds[i].Wait(); err != nil {
			t.Error(err)
		}
		all.Write(out[i].Bytes())
	}
	if all.String() != "asked\n" {
		t.Errorf("the processes said %q, want one \"asked\"", all.String())
	}
	empty(t, s)
}

// TestKill9: what a killed process was doing is litter to the next command, and what a
// living one is doing is not.
func TestKill9(t *testing.T) {
	s := open(t)
	cmd := command(s, "hang")
	stdout := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := make([]byte, 100)
	if n, err := stdout.Read(line); string(line[:n]) != "hanging\n" {
		t.Fatalf("the helper said %q, %v", line[:n], err)
	}
	before := len(must(os.ReadDir(s.path("tmp"))))
	if before != 3 {
		t.Fatalf("%d entries in tmp, want a lease, a layer and a blob", before)
	}
	must(s.Collect(os.RemoveAll))
	if n := len(must(os.ReadDir(s.path("tmp")))); n != before {
		t.Errorf("Collect removed what a living process uses: %d entries of %d are left", n, before)
	}
	cmd.Process.Kill()
	cmd.Wait()

	// The next command takes over the digest at once, and finds no half blob.
	data := strings.Repeat("0123456789", 100000)
	d := blob([]byte(data), "")
	asked := 0
	if err := s.Fetch(t.Context(), d, from(data, &asked), nil); err != nil || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	freed := must(s.Collect(os.RemoveAll))
	if want := int64(len("half") + len(data)); freed != want { // Fetch swept the half blob away
		t.Errorf("freed %d bytes, want %d", freed, want)
	}
	empty(t, s)
}
