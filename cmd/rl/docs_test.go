package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rl/cmd/rl/harness"
)

// A command is a line that a document tells its reader to type.
type command struct {
	where string
	words []string
}

// typed finds the commands in the fenced blocks of a Markdown file: lines that
// begin with make or rl, perhaps after a $ and variables.
func typed(t *testing.T, name string) []command {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	var (
		list   []command
		fenced bool
	)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(strings.TrimPrefix(line, "$ "))
		for len(words) > 0 && (strings.Contains(words[0], "=") || words[0] == "sudo" || words[0] == "time") {
			words = words[1:]
		}
		if len(words) > 1 && slices.Contains([]string{"make", "rl", "./rl"}, words[0]) {
			list = append(list, command{name, words})
		}
	}
	return list
}

// TestDocumentedCommands: what the documents tell people to type exists: targets
// of the Makefile, verbs of rl, and the flags of those verbs.
func TestDocumentedCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	help := map[string]string{}
	ask := func(args ...string) string {
		key := strings.Join(args, " ")
		if _, ok := help[key]; !ok {
			out, err := exec.Command(binary, append(args, "--help")...).Output()
			if err != nil {
				out = nil
			}
			help[key] = string(out)
		}
		return help[key]
	}
	docs := []string{"README.md", "CONTRIBUTING.md"}
	more, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range more {
		docs = append(docs, "docs/"+filepath.Base(m))
	}
	var commands []command
	for _, d := range docs {
		commands = append(commands, typed(t, d)...)
	}
	for _, must := range []string{"make demo", "make test"} {
		if !slices.ContainsFunc(commands, func(c command) bool {
			return c.where == "README.md" && strings.HasPrefix(strings.Join(c.words, " "), must)
		}) {
			t.Errorf("README.md does not show %q", must)
		}
	}
	for _, c := range commands {
		shown := c.where + ": " + strings.Join(c.words, " ")
		if c.words[0] == "make" {
			for _, target := range c.words[1:] {
				if strings.Contains(target, "=") || strings.ContainsAny(target, "'\"-/") && !strings.HasPrefix(target, "test-") {
					break // variables follow
				}
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).Match(makefile) {
					t.Errorf("%s: the Makefile has no target %s", shown, target)
				}
			}
			continue
		}
		verb := c.words[1]
		if strings.HasPrefix(verb, "-") {
			continue
		}
		text := ask(verb)
		if text == "" {
			t.Errorf("%s: rl has no verb %s", shown, verb)
			continue
		}
		for _, w := range c.words[2:] {
			flag, _, _ := strings.Cut(w, "=")
			if !strings.HasPrefix(flag, "--") || flag == "--" {
				if strings.HasPrefix(w, "-") {
					continue
				}
				if verb == "run" { // the image: what follows is somebody else's
					if !strings.Contains(w, ":/") && strings.Contains(w, "/") || w == "hello" {
						break
					}
				}
				continue
			}
			if !strings.Contains(text, flag) {
				t.Errorf("%s: rl %s --help does not know %s", shown, verb, flag)
			}
		}
	}
}

// TestEveryVerbHasAScript: a verb without an acceptance test is not done.
func TestEveryVerbHasAScript(t *testing.T) {
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	names, err := filepath.Glob(filepath.Join(top, "testdata/script/*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		text, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	for _, verb := range []string{"run", "pull", "images", "rmi", "inspect", "network", "doctor", "version", "completion"} {
		if !regexp.MustCompile(`(?m)^ +` + verb + `\b`).Match(out) {
			t.Errorf("rl --help does not list %s", verb)
		}
		if !regexp.MustCompile(`(?m)^(! )?(exits \d+ )?rl ` + verb + `\b`).MatchString(scripts.String()) {
			t.Errorf("no script in testdata/script tries rl %s", verb)
		}
	}
}

// TestNoPrivateAddresses: package mirrors belong to a machine's configuration,
// not into the repository.
func TestNoPrivateAddresses(t *testing.T) {
	mirror := regexp.MustCompile(`(?i)(goproxy|artifactory|artifactregistry|pkg\.dev|/simple/|deb\.debian\.org|ftp\.[a-z]+\.debian|archive\.ubuntu)[^\s]*`)
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		st, err := d.Info()
		if err != nil || !st.Mode().IsRegular() || st.Size() > 1<<20 || filepath.Base(p) == "docs_test.go" {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if found := mirror.Find(text); found != nil {
			t.Errorf("%s names a package mirror: %s", p, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
