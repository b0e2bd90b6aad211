package logs

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// The journal gets a datagram a line, with docker's fields.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := Open(Config{Driver: Journald, Socket: path, Fields: []Attr{{"CONTAINER_NAME", "web"}}, Attrs: []Attr{{"my.label", "a\nb"}}})
	if err != nil {
		t.Fatal(err)
	}
	l.add("stderr", []byte("one\n\n"+strings.Repeat("x", maxLine)+"rest\n"), true)
	buf := make([]byte, 64<<10)
	var got []string
	for range 3 {
		n, err := s.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(buf[:n]))
	}
	common := "CONTAINER_NAME=web\nMY_LABEL\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"
	for i, want := range []struct{ message, partial string }{{"one", ""}, {strings.Repeat("x", maxLine), "CONTAINER_PARTIAL_MESSAGE=true\n"}, {"rest", ""}} {
		if !strings.HasPrefix(got[i], "MESSAGE="+want.message+"\nPRIORITY=3\nSYSLOG_TIMESTAMP=") || !strings.HasSuffix(got[i], want.partial+common) ||
			strings.Contains(got[i], "PARTIAL") != (want.partial != "") {
			t.Errorf("%.200q", got[i])
		}
	}

	// One that does not read loses lines and is told how many bytes, when it does.
	for range 2000 {
		l.add("stdout", []byte("much\n"), false)
	}
	if l.dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	for i := 0; ; i++ {
		n, err := s.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // there is room for one
			l.add("stdout", []byte("after\n"), false)
		}
		if strings.Contains(string(buf[:n]), "bytes could not be logged") {
			break
		}
	}
	l.Close()
	if _, err := Open(Config{Driver: Journald, Socket: path + "none"}); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("%v", err)
	}
}
