package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const top = "../.."

// A source is one Go file of the repository.
type source struct {
	name string // from the top: oci/ref/ref.go
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string  { return path.Dir(s.name) }
func (s source) room() string { room, _, _ := strings.Cut(s.name, "/"); return room }
func (s source) test() bool   { return strings.HasSuffix(s.name, "_test.go") }
func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// under says whether a package is one of some, or below one.
func under(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return pkg == d || strings.HasPrefix(pkg, d+"/") })
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if generator(f) {
			return nil
		}
		list = append(list, source{filepath.ToSlash(rel), f, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 20 {
		t.Fatalf("only %d Go files below %s: is that the repository?", len(list), top)
	}
	return list
}

// generator reports whether a file is run by `go generate`, and no part of rl.
func generator(f *ast.File) bool {
	for _, c := range f.Comments {
		if c.Pos() < f.Package && strings.HasPrefix(c.List[0].Text, "//go:build ignore") {
			return true
		}
	}
	return false
}

// TestRooms holds the laws of docs/architecture.md about who may import whom.
// Tests of a package may use more: real components, and each other's fakes.
func TestRooms(t *testing.T) {
	rooms := []string{"userns", "fuse", "slirp", "oci"}
	everybody := []string{"userns/sys", "userns/idmap"} // what every room may use of userns
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imp := range s.file.Imports {
			pkg, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			other, ours := strings.CutPrefix(pkg, "rl/")
			if !ours {
				continue
			}
			for _, room := range rooms {
				if s.room() == room && !under(other, room) && !under(other, everybody...) {
					t.Errorf("%s imports %s: the rooms userns, fuse, slirp and oci know nothing of each other but %s",
						s.at(imp), other, strings.Join(everybody, " and "))
				}
			}
			if under(s.dir(), "userns/sys", "userns/idmap") && !under(other, "userns/sys", "userns/idmap") {
				t.Errorf("%s imports %s: the bottom imports nothing above it", s.at(imp), other)
			}
			if under(other, "cmd") && s.room() != "cmd" && s.room() != ".ci" {
				t.Errorf("%s imports %s: nobody imports a command", s.at(imp), other)
			}
			if under(other, "run") && s.room() != "cmd" && s.room() != "run" {
				t.Errorf("%s imports %s: only cmd conducts the conductor", s.at(imp), other)
			}
		}
	}
}

// mayPrint lists who is the top of a process without being a command, and why.
func mayPrint(name string) bool {
	return under(name,
		"run/stages.go",          // the bodies of stages
		"userns/stage/stage.go",  // ends the process of every stage
		"run/inside/start.go",    // ends init when the program cannot be executed
		"run/inside/takeover.go", // is init, before main
		"fuse/fstest",            // for tests: its own processes report on stdout
	)
}

// TestQuiet: only cmd prints or exits. Stages, whose main functions are the top
// of their own process, may in files named *_stage.go.
func TestQuiet(t *testing.T) {
	loud := map[string]func(string) bool{
		"fmt": func(f string) bool { return strings.HasPrefix(f, "Print") },
		"os":  func(f string) bool { return f == "Exit" || f == "Stdout" || f == "Stderr" },
		"log": func(f string) bool {
			return strings.HasPrefix(f, "Print") || strings.HasPrefix(f, "Fatal") || strings.HasPrefix(f, "Panic")
		},
	}
	for _, s := range sources(t) {
		if s.test() || s.room() == "cmd" || s.room() == ".ci" || strings.HasSuffix(s.name, "_stage.go") || mayPrint(s.name) {
			continue
		}
		// A local name may hide a package's.
		imported := map[string]bool{}
		for _, imp := range s.file.Imports {
			imported[strings.Trim(imp.Path.Value, `"`)] = imp.Name == nil
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "Main" {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if ok && imported[x.Name] && loud[x.Name] != nil && loud[x.Name](sel.Sel.Name) {
					t.Errorf("%s uses %s.%s: only cmd prints or exits; return an error, or take an io.Writer", s.at(sel), x.Name, sel.Sel.Name)
				}
				if ok && x.Name == "syscall" && imported["syscall"] && sel.Sel.Name == "Exit" {
					t.Errorf("%s uses syscall.Exit: only cmd exits", s.at(sel))
				}
				return true
			})
		}
	}
}

// TestUnsafe: what the compiler cannot check is easy to find.
func TestUnsafe(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			switch imp.Path.Value {
			case `"unsafe"`:
				if !s.test() && !strings.Contains(path.Base(s.name), "_unsafe") { // also x_unsafe_linux.go
					t.Errorf("%s imports unsafe: only files named *_unsafe.go do", s.at(imp))
				}
			case `"C"`:
				t.Errorf("%s imports C: no cgo anywhere", s.at(imp))
			}
		}
	}
}

// TestInit: the binary is executed three times a container; whatever happens
// before main happens three times too.
func TestInit(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.room() == ".ci" {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" && !allowedInit[s.name] {
					t.Errorf("%s: func init runs before main in every process of rl", s.at(d))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				ast.Inspect(d, func(n ast.Node) bool {
					if _, ok := n.(*ast.FuncLit); ok {
						return false // runs later, if ever
					}
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					sel, ok := call.Fun.(*ast.SelectorExpr)
					if ok && sel.Sel.Name == "MustCompile" {
						t.Errorf("%s compiles a regular expression before main: sync.OnceValue does it when it is wanted", s.at(call))
					}
					return true
				})
			}
		}
	}
}

// allowedInit are the files whose init function is worth its cost, or is the saving.
var allowedInit = map[string]bool{
	"userns/stage/gate/gate.go":  true, // has a stage wait for its ids before the heavy packages wake
	"run/monitor/ahead/ahead.go": true, // begins the monitor's work while the heavy packages wake
	"run/inside/takeover.go":     true, // becomes the container's init before the heavy packages wake
}

// TestTop: the folders at the top are these, and no others.
func TestTop(t *testing.T) {
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	fixed := []string{"cmd", "userns", "fuse", "slirp", "oci", "run", "testdata", "docs"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "dist" && !slices.Contains(fixed, e.Name()) {
			t.Errorf("a folder %s at the top: the rooms are %s", e.Name(), strings.Join(fixed, " "))
		}
	}
}

// TestPackageComments: a package comment teaches, so every package has one.
func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		doc := s.file.Doc.Text()
		documented[s.dir()] = documented[s.dir()] || len(strings.Fields(doc)) >= 6
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment that says what it is for", dir)
		}
	}
}

// TestDoorway: main dispatches and exits; it does nothing itself.
func TestDoorway(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 30 {
		t.Errorf("main.go has %d lines, at most 30 are a doorway", n)
	}
}

// TestNoDrawers: a name that says nothing collects everything.
func TestNoDrawers(t *testing.T) {
	for _, s := range sources(t) {
		switch base := path.Base(s.dir()); base {
		case "util", "utils", "common", "types", "helpers", "misc":
			t.Errorf("%s: a package called %s is a drawer, not a room", s.name, base)
		}
	}
}
