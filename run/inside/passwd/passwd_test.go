package passwd_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rl/run/inside/passwd"
)

const debian = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`

func TestFindUser(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, file, who string
		uid, gid        int
		home            string
		ok              bool
	}{
		{"by name", debian, "_apt", 42, 65534, "/nonexistent", true},
		{"by id", debian, "1", 1, 1, "/usr/sbin", true},
		{"by id with zeros before", debian, "0042", 42, 65534, "/nonexistent", true},
		{"unknown", debian, "ann", 0, 0, "", false},
		{"unknown id", debian, "1000", 0, 0, "", false},
		{"nobody asked for", debian, "", 0, 0, "", false},
		{"empty file", "", "root", 0, 0, "", false},
		{"a number is an id, never a name", "7:x:1:1::/a:\nann:x:7:8::/b:\n", "7", 7, 8, "/b", true},
		{"the first one wins", "ann:x:1:2::/a:\nann:x:3:4::/b:\n", "ann", 1, 2, "/a", true},
		{"no newline at the end", "ann:x:1:2::/a", "ann", 1, 2, "/a", true},
		{"carriage return", "ann:x:1:2::/a\r\n", "ann", 1, 2, "/a", true},
		{"no home", "ann:x:1:2\n", "ann", 1, 2, "", true},
		{"relative home", "ann:x:1:2::../../etc:/bin/sh\n", "ann", 1, 2, "", true},
		{"no gid: not a line", "ann:x:1\nann:x:3:4::/b:\n", "ann", 3, 4, "/b", true},
		{"negative id", "ann:x:-1:2::/a:\n", "ann", 0, 0, "", false},
		{"id of 32 bits", "ann:x:4294967296:2::/a:\n", "ann", 0, 0, "", false},
		{"id past int32", "ann:x:2147483648:2::/a:\n", "ann", 0, 0, "", false},
		{"the largest id", "ann:x:2147483647:2147483647::/a:\n", "ann", 2147483647, 2147483647, "/a", true},
		{"id of 200 digits", "ann:x:" + strings.Repeat("9", 200) + ":2::/a:\n", "ann", 0, 0, "", false},
		{"ids with signs and blanks", "ann:x:+1:2::/a:\nann:x: 1:2::/a:\nann:x:0x1:2::/a:\n", "ann", 0, 0, "", false},
		{"NUL in the home", "ann:x:1:2::/a\x00b:\n", "ann", 0, 0, "", false},
		{"comment", "#ann:x:1:2::/a:\n", "#ann", 0, 0, "", false},
		{"NIS", "+::::::\n+ann\nann:x:1:2::/a:\n", "ann", 1, 2, "/a", true},
		{"no name", ":x:0:0::/a:\n", "0", 0, 0, "", false},
		{"garbage before", "\x00\xff\n:::\n" + long + "\nann:x:1:2::/a:\n", "ann", 1, 2, "/a", true},
		{"a huge gecos", "ann:x:1:2:" + long + ":/a:\n", "ann", 1, 2, "/a", true},
		{"overflowing number asked for", debian, "4294967296", 0, 0, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			uid, gid, home, ok := passwd.FindUser([]byte(c.file), c.who)
			if uid != c.uid || gid != c.gid || home != c.home || ok != c.ok {
				t.Errorf("got %d:%d %q %v, want %d:%d %q %v", uid, gid, home, ok, c.uid, c.gid, c.home, c.ok)
			}
		})
	}
}

func TestFindGroup(t *testing.T) {
	const file = "root:x:0:\nadm:x:4:ann,bob\nempty:x::\nbad:x:-4:\nbroken\n10:x:11:\nten:x:10:\nlast:x:99:ann"
	for _, c := range []struct {
		who string
		gid int
		ok  bool
	}{
		{"root", 0, true},
		{"adm", 4, true},
		{"4", 4, true},
		{"last", 99, true},
		{"10", 10, true},
		{"5", 0, false},
		{"empty", 0, false},
		{"bad", 0, false},
		{"broken", 0, false},
		{"", 0, false},
		{"ad", 0, false},
	} {
		if gid, ok := passwd.FindGroup([]byte(file), c.who); gid != c.gid || ok != c.ok {
			t.Errorf("%q: got %d, %v, want %d, %v", c.who, gid, ok, c.gid, c.ok)
		}
	}
}

func TestGroups(t *testing.T) {
	const file = "root:x:0:\nadm:x:4:ann,bob\nx:x:9:annabel,an\nsudo:x:27:bob,ann\nagain:x:4:ann\nnul:x:5:ann\x00\nlast:x:99:,ann,"
	for user, want := range map[string][]int{
		"ann": {4, 27, 99}, "bob": {4, 27}, "an": {9}, "eve": nil, "": nil,
	} {
		if got := passwd.Groups([]byte(file), user); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", user, got, want)
		}
	}
	var many bytes.Buffer
	for i := range 70000 {
		fmt.Fprintf(&many, "g%d:x:%d:ann\n", i, i)
	}
	if n := len(passwd.Groups(many.Bytes(), "ann")); n != 65536 {
		t.Errorf("%d groups, the kernel takes 65536", n)
	}
}

// FuzzPasswd: from any bytes, whoever is found has ids that the kernel takes, a
// home that can be put into the environment, and stands in the file.
func FuzzPasswd(f *testing.F) {
	f.Add([]byte(debian), "nobody")
	f.Add([]byte("ann:x:2147483648:-1::\x00:\n#\r\nann:x:1:1"), "1")
	f.Add([]byte("adm:x:4:ann,bob\n"), "ann")
	f.Fuzz(func(t *testing.T, file []byte, who string) {
		before := bytes.Clone(file)
		uid, gid, home, ok := passwd.FindUser(file, who)
		if !valid(uid) || !valid(gid) || strings.ContainsAny(home, "\x00\n:") || home != "" && home[0] != '/' {
			t.Errorf("user %d:%d %q", uid, gid, home)
		}
		if want, numeric := passwd.ID(who); ok && numeric && uid != want {
			t.Errorf("asked for %d, got %d", want, uid)
		} else if ok && !numeric && !bytes.Contains(file, []byte(who+":")) {
			t.Errorf("%q is not in the file", who)
		}
		if gid, ok := passwd.FindGroup(file, who); !valid(gid) || !ok && gid != 0 {
			t.Errorf("group %d, %v", gid, ok)
		}
		seen := map[int]bool{}
		for _, gid := range passwd.Groups(file, who) {
			if !valid(gid) || seen[gid] {
				t.Errorf("group %d", gid)
			}
			seen[gid] = true
		}
		if !bytes.Equal(file, before) {
			t.Error("the file's bytes were changed")
		}
	})
}

func valid(id int) bool { return id >= 0 && id <= 1<<31-1 }

// The init stage pays for what it imports, at every start.
func TestImportsNothing(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if len(file.Imports) > 0 {
			t.Errorf("%s imports %s", name, file.Imports[0].Path.Value)
		}
	}
}
