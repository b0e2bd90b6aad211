package tap

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answer is what the kernel says to request seq.
func answer(seq int, errno unix.Errno) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 36)
	b = binary.NativeEndian.AppendUint16(b, unix.NLMSG_ERROR)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(seq))
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(-int32(errno)))
	return append(b, make([]byte, 16)...)
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		last bool
		err  string
	}{
		{"the last one", answer(3, 0), true, ""},
		{"an error before", answer(1, unix.EPERM), false, "first: operation not permitted"},
		{"two errors, the last one", append(answer(1, unix.EPERM), answer(3, unix.EINVAL)...), true, "first: operation not permitted"},
		{"one that may fail", answer(2, unix.EPERM), false, ""},
		{"of nobody", append(answer(0, unix.EPERM), answer(4, unix.EPERM)...), false, ""},
		{"cut", answer(1, 0)[:35], true, "cut off"},
		{"no length", make([]byte, 36), true, "cut off"},
		{"nothing", nil, false, ""},
	} {
		n := &netlink{what: []string{"first", "", "third"}}
		last, err := n.read(c.in)
		if last != c.last || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %t, %v", c.name, last, err)
		}
	}
}

// TestNothingIsLeft checks that the kernel answers to errors and the last request
// only, and that all of it is read: each answer is a system call.
func TestNothingIsLeft(t *testing.T) {
	err := space(t).Do(func() error {
		nl, err := dial()
		if err != nil {
			return err
		}
		defer nl.close()
		for _, index := range []uint32{1, 99, 1, 98, 1} {
			what := ""
			if index == 99 {
				what = "99"
			}
			nl.begin(what, unix.RTM_NEWLINK, 0)
			nl.ifinfo(index, unix.IFF_UP, unix.IFF_UP)
		}
		if err := nl.flush(); !errors.Is(err, unix.ENODEV) || !strings.HasPrefix(err.Error(), "99: ") {
			t.Errorf("no such device: %v", err)
		}
		if n, _, err := unix.Recvfrom(nl.fd, make([]byte, 100), unix.MSG_DONTWAIT); err != unix.EAGAIN {
			t.Errorf("an answer of %d bytes is left: %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzAnswers holds that reading ends, and that an error is never taken for success.
func FuzzAnswers(f *testing.F) {
	f.Add(answer(1, unix.EPERM))
	f.Add(append(answer(1, 0), answer(2, unix.EPERM)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &netlink{what: []string{"first", "second"}}
		n.read(b)
		if _, err := n.read(append(answer(1, unix.EPERM), b...)); err == nil {
			t.Error("the error was lost")
		}
	})
}
