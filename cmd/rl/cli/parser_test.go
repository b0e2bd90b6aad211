package cli

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A parser of one verb answers as the parser of all does.
func TestParserFor(t *testing.T) {
	var all grammar
	whole, err := newParser(&all, Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	var check func(n *kong.Node, path []string)
	check = func(n *kong.Node, path []string) {
		for _, more := range [][]string{{"--help"}, {"--bogus"}, {"--bogus=1", "x"}, {}, {"a", "b", "c", "d"}, {"--root", "/r", "--help"}} {
			args := append(path[:len(path):len(path)], more...)
			one := answered(t, args, func(g *grammar, s Stdio) (*kong.Kong, error) { return parserFor(g, args[0], s) })
			full := answered(t, args, func(g *grammar, s Stdio) (*kong.Kong, error) { return newParser(g, s) })
			if one != full {
				t.Errorf("%q: of one verb:\n%s\nof all:\n%s", args, one, full)
			}
		}
		for _, child := range n.Children {
			if _, same := verb(reflect.ValueOf(&all.containerVerbs).Elem(), child.Name); n.Name == "container" && same {
				continue // they are asked without that word: see ungrouped
			}
			check(child, append(path[:len(path):len(path)], child.Name))
		}
	}
	for _, n := range whole.Model.Children {
		check(n, []string{n.Name})
		if one, err := parserFor(&all, n.Name, Stdio{}); err != nil || len(one.Model.Children) != 1 {
			t.Errorf("%s: a parser of more than that, or %v", n.Name, err)
		}
	}
}

// answered is what parsing prints, and its error.
func answered(t *testing.T, args []string, build func(*grammar, Stdio) (*kong.Kong, error)) string {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var g grammar
	parser, err := build(&g, Stdio{Out: out, Err: out})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(args)
	text := ""
	if err != nil {
		text = usageError(err).Error()
	} else {
		text = parsed.Command()
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + text
}

func TestUngrouped(t *testing.T) {
	for in, want := range map[string]string{
		"container run -h x img": "run -h x img", "container port": "port", "container cp a b:c": "cp a b:c",
		"container": "container", "container ls -a": "container ls -a", "container inspect x": "container inspect x", "container --help": "container --help",
		"run container": "run container", "image run": "image run",
	} {
		if got := strings.Join(ungrouped(strings.Fields(in)), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
