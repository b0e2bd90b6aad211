package seccomp_test

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// both runs a test with a supervisor and without.
func both(t *testing.T, f func(t *testing.T, r rig)) {
	for _, mode := range []string{"notify", "fallback"} {
		t.Run(mode, func(t *testing.T) { f(t, rig{FakeRoot: mode, Dir: t.TempDir()}) })
	}
}

func TestChownStorm(t *testing.T) {
	both(t, func(t *testing.T, r rig) {
		r.sh(t, `
			i=0; while [ $i -lt 50 ]; do touch f$i; chown $i:$((i*7)) f$i; i=$((i+1)); done
			ln -s f0 l; chown -h 33:33 l; chgrp -R 4000000 .
			install -d -o 101 -g 102 -m 2755 d; stat -c '%u %g %a' d`, "0 0 2755")
	})
}

// An archive made by a true root: foreign owners, devices, a list that names
// people, capabilities.
func TestTarOfRoot(t *testing.T) {
	r := rig{FakeRoot: "notify", Dir: t.TempDir()}
	f, err := os.Create(filepath.Join(r.Dir, "t.tar"))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw+ep
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "in/", Mode: 0o2775, Uid: 8, Gid: 4},
		{Typeflag: tar.TypeReg, Name: "in/f", Mode: 0o4755, Uid: 1234, Gid: 987654, PAXRecords: map[string]string{
			"SCHILY.acl.access":                "user::rwx,user:77:rw-,group::r-x,mask::rwx,other::r-x",
			"SCHILY.xattr.security.capability": capability,
			"SCHILY.xattr.user.kept":           "yes",
		}},
		{Typeflag: tar.TypeFifo, Name: "in/p", Mode: 0o600, Uid: 5},
		{Typeflag: tar.TypeChar, Name: "in/null", Mode: 0o666, Devmajor: 1, Devminor: 3, Gid: 6},
		{Typeflag: tar.TypeBlock, Name: "in/disk", Mode: 0o660, Devmajor: 8, Gid: 6},
	} {
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	r.sh(t, `
		tar --acls --xattrs --xattrs-include='*' --same-owner --numeric-owner -pxf t.tar
		ls in; stat -c '%a %u %s %F' in/f in/p in/null in/disk`,
		"disk\nf\nnull\np\n4755 0 0 regular empty file\n600 0 0 fifo\n666 0 0 regular empty file\n660 0 0 regular empty file")
	kept := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(r.Dir, "in/f"), "user.kept", kept); err != nil || string(kept[:n]) != "yes" {
		t.Errorf("user.kept: %q, %v", kept[:max(n, 0)], err)
	}
}

func TestProbes(t *testing.T) {
	for what, r := range map[string]rig{
		"default":                 {Profile: true},
		"fake/notify":             {FakeRoot: "notify"},
		"fake/fallback":           {FakeRoot: "fallback"},
		"fake/with profile":       {FakeRoot: "notify", Profile: true},
		"errors":                  {FakeRoot: "notify"},
		"errors/with profile":     {FakeRoot: "notify", Profile: true},
		"flood":                   {FakeRoot: "notify"},
		"killed":                  {FakeRoot: "notify"},
		"killed/interruptible":    {FakeRoot: "interruptible"},
		"interrupted":             {FakeRoot: "notify"},
		"restarted/interruptible": {FakeRoot: "interruptible"},
		"nested":                  {FakeRoot: "notify"},
		"blind":                   {FakeRoot: "notify", MaskProc: true},
		"orphan":                  {FakeRoot: "notify", NoServe: true},
	} {
		t.Run(what, func(t *testing.T) {
			r.Dir = t.TempDir()
			r.Probe, _, _ = strings.Cut(what, "/")
			if out, code := r.run(t); code != 0 {
				t.Errorf("exit %d\n%s", code, out)
			}
		})
	}
}

// A 32-bit program enters by int 0x80, with numbers of its own.
func TestI386(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 entry points exist on amd64 only")
	}
	exe := filepath.Join(t.TempDir(), "i386")
	// chown lchown fchown setuid setgid setgroups, their 32-bit forms, fchownat, capset
	numbers := []byte{182, 16, 95, 23, 46, 81, 70, 71, 164, 170, 212, 198, 207, 213, 214, 206, 203, 204, 208, 210, 185}
	if err := os.WriteFile(exe, elf386(numbers), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		r    rig
		want int
	}{
		{rig{FakeRoot: "notify"}, 0},
		{rig{FakeRoot: "fallback", Profile: true}, 0},
		{rig{}, 182}, // without the filter the first one fails
	} {
		c.r.Argv = []string{exe}
		out, code := c.r.run(t)
		if strings.Contains(out, unix.ENOEXEC.Error()) {
			t.Skip("this kernel does not run 32-bit programs (IA-32 emulation is off): there is no such entry to guard")
		}
		if code != c.want {
			t.Errorf("%+v: exit %d, want %d\n%s", c.r, code, c.want, out)
		}
	}
}

// elf386 is a program that makes these calls with all arguments -1 and exits
// with the first number that does not return 0.
func elf386(numbers []byte) []byte {
	var code []byte
	for _, n := range numbers {
		code = append(code, 0xb8, n, 0, 0, 0) // mov eax, n
		for _, reg := range []byte{0xbb, 0xb9, 0xba, 0xbe} {
			code = append(code, reg, 0xff, 0xff, 0xff, 0xff) // mov ebx, ecx, edx, esi, -1
		}
		code = append(code,
			0xcd, 0x80, // int 0x80
			0x85, 0xc0, // test eax, eax
			0x74, 12, // jz over the exit
			0xbb, n, 0, 0, 0, // mov ebx, n
			0xb8, 1, 0, 0, 0, // mov eax, exit
			0xcd, 0x80)
	}
	code = append(code, 0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80) // exit(0)
	const base, head = 0x08048000, 52 + 32
	le := binary.LittleEndian
	elf := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9)...)
	elf = le.AppendUint16(elf, 2) // executable
	elf = le.AppendUint16(elf, 3) // i386
	for _, v := range []uint32{1, base + head, 52, 0, 0} {
		elf = le.AppendUint32(elf, v)
	}
	for _, v := range []uint16{52, 32, 1, 0, 0, 0} {
		elf = le.AppendUint16(elf, v)
	}
	size := uint32(head + len(code))
	for _, v := range []uint32{1, 0, base, base, size, size, 5, 4096} { // PT_LOAD, readable, executable
		elf = le.AppendUint32(elf, v)
	}
	return append(elf, code...)
}
