package fanout

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is a client of one stream, and the end it reads from.
func client(t *testing.T, f *Fanout) (*Client, *os.File) {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c := &Client{Out: [2]*os.File{Stdout: w}}
	if !f.Add(c) {
		t.Fatal("it has ended")
	}
	return c, r
}

// Everybody gets everything, in order, however much more it is than a pipe holds.
func TestAllGetAll(t *testing.T) {
	var f Fanout
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var readers sync.WaitGroup
	for range 3 {
		_, r := client(t, &f)
		readers.Go(func() {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d came, %v", len(got), len(want), err)
			}
		})
	}
	for rest := want; len(rest) > 0; rest = rest[1000:] {
		if len(rest) < 1000 {
			f.Write(Stdout, rest)
			break
		}
		f.Write(Stdout, rest[:1000])
	}
	f.Close()
	readers.Wait()
}

// One that does not read is left out, and told so when it reads again.
func TestStopped(t *testing.T) {
	var f Fanout
	stopped, r := client(t, &f)
	_, other := client(t, &f)
	got := make(chan int)
	go func() {
		b, _ := io.ReadAll(other)
		got <- len(b)
	}()
	piece := bytes.Repeat([]byte("x"), Piece)
	const n = 64 // 4 MB: far more than its pipe holds
	for range n {
		f.Write(Stdout, piece)
	}
	if stopped.Missed() == 0 {
		t.Fatal("nothing is missing")
	}
	held := n*Piece - int(stopped.Missed())
	if _, err := io.ReadFull(r, make([]byte, held)); err != nil {
		t.Fatal(err)
	}
	f.Write(Stdout, []byte("goes on\n"))
	f.Close()
	rest, _ := io.ReadAll(r)
	if !strings.Contains(string(rest), "bytes are missing here") || !strings.HasSuffix(string(rest), "goes on\n") {
		t.Errorf("it reads %q", rest)
	}
	if all := <-got; all != n*Piece+len("goes on\n") {
		t.Errorf("the other got %d bytes", all)
	}
}

// Who runs the container is waited for, until somebody else listens.
func TestOwner(t *testing.T) {
	var f Fanout
	owner, _ := client(t, &f)
	owner.Owner = true
	done := make(chan bool)
	go func() {
		f.Write(Stdout, make([]byte, 1<<20))
		close(done)
	}()
	select {
	case <-done:
		t.Fatal("it was not waited for")
	case <-time.After(Patience + Patience/2):
	}
	client(t, &f)
	<-done
	if owner.Missed() == 0 {
		t.Error("nothing is missing")
	}
}

// One that is gone is forgotten; what has ended takes no more.
func TestGone(t *testing.T) {
	var f Fanout
	_, r := client(t, &f)
	r.Close()
	f.Write(Stdout, []byte("x"))
	if n := len(f.clients()); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	f.Close()
	if f.Add(&Client{}) {
		t.Error("what has ended takes a client")
	}
}
