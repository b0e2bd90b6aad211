package unpack

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzNames writes entries of any names and link targets without the worker's jail, and
// demands that nothing changes outside of the layer's directory. A line of the input is
// an entry: a letter for its type, the name, and after "=" the target.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"f../../x", "f/../x\nd..\nd/", "sa=..\nfa/canary", "sa=/\nfa/../canary", "sa=../..\nsb=a\nfb/x/canary", "ha=../canary", "sa=../canary\nha2=a\nfa2",
		"f.wh...", "f.wh..", "f.wh.", "fd/.wh...", "sd=..\nfd/.wh.canary", "sd=..\nfd/.wh..wh..opq", "f.wh.x\nfx/y/z\nf.wh.x", "dd\nfd/.wh.x\nfd/.wh..wh..opq\nfd/x",
		"fa\nfa/b\nsa=b\nfa/c", "f.wh.a/b", "sd=../canary\nf.wh.d\nfd/x", "dl\nsl/l=../..\nfl/l/canary/x\nfl/l", "sx=.\nfx/x/x/../../canary",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 2000 || strings.Count(script, "\n") > 40 {
			t.Skip("long")
		}
		outer := t.TempDir()
		root := filepath.Join(outer, "a", "b", "fs")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"canary", "a/canary", "a/b/canary"} {
			if err := os.WriteFile(filepath.Join(outer, path), []byte("alive"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j := jail{dir: root, outer: outer}
		before := j.canary(t)
		raw := script2tar(script)
		_, err := Layer(root, bytes.NewReader(raw), Request{DiffID: digest.FromBytes(raw), Rootless: true})
		if after := j.canary(t); after != before {
			t.Fatalf("outside of the layer (unpack: %v)\nbefore\n%s\nafter\n%s", err, before, after)
		}
		if _, err := os.Lstat(root); err != nil {
			t.Fatalf("the layer's directory is gone: %v", err)
		}
	})
}

func script2tar(script string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for line := range strings.SplitSeq(script, "\n") {
		if len(line) < 2 {
			continue
		}
		name, target, _ := strings.Cut(line[1:], "=")
		h := tar.Header{Name: name, Linkname: target, Mode: 0o755, Typeflag: tar.TypeReg}
		switch line[0] {
		case 'd':
			h.Typeflag = tar.TypeDir
		case 's':
			h.Typeflag = tar.TypeSymlink
		case 'h':
			h.Typeflag = tar.TypeLink
		case 'p':
			h.Typeflag = tar.TypeFifo
		default:
			h.Linkname = ""
		}
		_ = w.WriteHeader(&h) // names that no header can hold are left out
	}
	w.Close()
	return buf.Bytes()
}
