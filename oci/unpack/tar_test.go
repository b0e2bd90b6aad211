package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"time"
)

// archive builds a layer entry by entry; it panics, for tests have no use for a broken builder.
type archive struct {
	buf bytes.Buffer
	w   *tar.Writer
}

// build runs the steps and returns the tar.
func build(steps ...func(*archive)) []byte {
	a := &archive{}
	a.w = tar.NewWriter(&a.buf)
	for _, step := range steps {
		step(a)
	}
	if err := a.w.Close(); err != nil {
		panic(err)
	}
	return a.buf.Bytes()
}

var epoch = time.Unix(1700000000, 0)

func entry(h tar.Header, data string) func(*archive) {
	return func(a *archive) {
		h := h
		h.Size = int64(len(data))
		if h.ModTime.IsZero() {
			h.ModTime = epoch
		}
		if h.Format == tar.FormatUnknown {
			h.Format = tar.FormatPAX
		}
		if err := a.w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(a.w, data); err != nil {
			panic(err)
		}
	}
}

func file(name, data string) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, data)
}

func dir(name string) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o750}, "")
}

func symlink(name, target string) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, "")
}

func hardlink(name, target string) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}, "")
}

// global is a record for all entries that follow; git archive writes one.
func global(key, value string) func(*archive) {
	return func(a *archive) {
		if err := a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{key: value}}); err != nil {
			panic(err)
		}
	}
}

func xattr(name, key, value string) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr." + key: value}}, "")
}

func owned(name string, uid, gid int) func(*archive) {
	return entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o4755, Uid: uid, Gid: gid}, "data")
}

// raw writes header blocks and data as they are: what archive/tar refuses to write.
func raw(blocks ...string) func(*archive) {
	return func(a *archive) {
		if err := a.w.Flush(); err != nil {
			panic(err)
		}
		for _, b := range blocks {
			a.buf.WriteString(b)
			if n := len(b) % 512; n != 0 {
				a.buf.WriteString(strings.Repeat("\x00", 512-n))
			}
		}
	}
}

// header is a ustar header by hand; number fields are given as they stand in it.
func header(name string, typeflag byte, size, uid, mtime string) string {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], uid)
	copy(b[116:], "0000000\x00")
	copy(b[124:], size)
	copy(b[136:], mtime)
	b[156] = typeflag
	copy(b[257:], "ustar\x0000")
	return checksum(b)
}

func checksum(b []byte) string {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(b)
}

const (
	noBytes = "00000000000\x00"
	nobody  = "0000000\x00"
)

// pax is an extended header: records for the entry that follows.
func pax(records ...string) string {
	var b strings.Builder
	for i := 0; i < len(records); i += 2 {
		text := " " + records[i] + "=" + records[i+1] + "\n"
		n := len(text) + 1
		for len(fmt.Sprint(n))+len(text) != n {
			n++
		}
		fmt.Fprintf(&b, "%d%s", n, text)
	}
	body := b.String()
	pad := (512 - len(body)%512) % 512
	return header("pax", tar.TypeXHeader, fmt.Sprintf("%011o\x00", len(body)), nobody, noBytes) + body + strings.Repeat("\x00", pad)
}

func gz(raw []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(raw)
	w.Close()
	return b.Bytes()
}
