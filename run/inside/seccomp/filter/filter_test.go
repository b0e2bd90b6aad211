package filter

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whether the filters do what they should is tested one directory up, in
// processes of their own: a filter cannot be taken off again.

// Without the filter the self test fails: it can.
func TestSelfTestNeedsTheFilter(t *testing.T) {
	name, errno := SelfTest(false)
	if name == "" || errno == 0 {
		t.Error("the self test passes without a filter")
	}
}

func TestInstallRefusesNonsense(t *testing.T) {
	for _, prog := range [][]byte{nil, make([]byte, 7), make([]byte, 8*4097), make([]byte, 8)} {
		if fd, errno := Install(prog, 0); errno == 0 || fd != -1 {
			t.Errorf("%d bytes: %d, %v", len(prog), fd, errno)
		}
	}
}

// The package runs before most others are initialised.
func TestImportsNearlyNothing(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains([]string{"syscall", "unsafe", "runtime"}, path) {
				t.Errorf("%s imports %s", f.Name(), path)
			}
			if path == "unsafe" && !strings.HasSuffix(f.Name(), "_unsafe.go") {
				t.Errorf("%s imports unsafe", f.Name())
			}
		}
	}
}
