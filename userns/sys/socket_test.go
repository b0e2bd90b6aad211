package sys

import (
	"io"
	"testing"
)

// The last words of a process that did not hear ours are heard.
func TestLastWords(t *testing.T) {
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Send([]byte("unheard")); err != nil {
		t.Fatal(err)
	}
	if err := a.Send([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if msg, _, err := b.Recv(); err != nil || string(msg) != "last words" {
		t.Errorf("%q, %v", msg, err)
	}
	if _, _, err := b.Recv(); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}
