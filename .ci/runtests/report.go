package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"rl/cmd/rl/harness"
)

// A result is what a test came to among all who ran it.
type result struct {
	passed, failed int
	reasons        []string // of its skips
}

// failures is what the tests that failed said, and what no test said: a panic,
// a race, TestMain.
func failures(out string) string {
	bad := map[string]bool{"": true}
	for line := range strings.Lines(out) {
		if m := verdict.FindStringSubmatch(line); m != nil && m[1] == "FAIL" {
			bad[m[2]] = true
		}
	}
	var b strings.Builder
	current := ""
	for line := range strings.Lines(out) {
		clean := strings.TrimPrefix(line, "\x16")
		if m := verdict.FindStringSubmatch(line); m != nil {
			current = m[2]
			if bad[current] {
				b.WriteString(clean)
			}
			current = ""
			continue
		}
		if rest, ok := strings.CutPrefix(clean, "=== "); ok {
			if f := strings.Fields(rest); len(f) == 2 {
				current = f[1]
			}
			continue
		}
		if bad[current] || strings.HasPrefix(clean, "panic:") || strings.HasPrefix(clean, "goroutine ") {
			b.WriteString(clean)
		}
	}
	return b.String()
}

// read counts the verdicts in the output of a test and keeps the reasons of
// skips. Only leaves count: a test with subtests is its subtests.
func (r *runner) read(pkg, out string) string {
	lines := strings.Split(out, "\n")
	said := map[string][]string{} // what each test printed last
	current := ""
	type end struct{ how, name string }
	var ends []end
	parents := map[string]bool{}
	for _, line := range lines {
		if m := verdict.FindStringSubmatch(line); m != nil {
			ends = append(ends, end{m[1], m[2]})
			for up := m[2]; strings.Contains(up, "/"); {
				up = up[:strings.LastIndexByte(up, '/')]
				parents[up] = true
			}
			current = m[2]
			continue
		}
		clean := strings.TrimPrefix(line, "\x16")
		if name, ok := strings.CutPrefix(clean, "=== "); ok {
			if f := strings.Fields(name); len(f) == 2 {
				current = f[1]
			}
			continue
		}
		if t := strings.TrimSpace(clean); t != "" && strings.HasPrefix(clean, " ") {
			said[current] = append(said[current], t)
		}
	}
	skipped := 0
	for _, e := range ends {
		if parents[e.name] {
			if e.how != "SKIP" { // somebody else may have skipped the whole of it
				r.whole[pkg+"."+e.name] = true
			}
			continue
		}
		key := pkg + "." + e.name
		res := r.results[key]
		if res == nil {
			res = &result{}
			r.results[key] = res
		}
		switch e.how {
		case "PASS":
			res.passed++
		case "FAIL":
			res.failed++
		case "SKIP":
			skipped++
			res.reasons = append(res.reasons, reason(said[e.name]))
		}
	}
	if skipped > 0 {
		return fmt.Sprintf(" (%d skipped)", skipped)
	}
	return ""
}

var place = regexp.MustCompile(`^\S+\.go:\d+: `)

func reason(lines []string) string {
	for _, l := range slices.Backward(lines) {
		if l != "" {
			return place.ReplaceAllString(l, "")
		}
	}
	return "no reason given"
}

// report prints the reasons of all skips and the closing line.
func (r *runner) report() bool {
	allowed, err := allowedSkips(filepath.Join(r.top, ".ci", "skips"))
	if err != nil {
		fmt.Println(err)
		return false
	}
	var passed, failed, skipped int
	why := map[string][]string{}
	var wanted []string
	for name, res := range r.results {
		switch {
		case res.failed > 0:
			failed++
		case res.passed > 0:
			passed++
		case r.whole[name]:
		default:
			skipped++
			for _, reason := range slices.Compact(slices.Sorted(slices.Values(res.reasons))) {
				why[reason] = append(why[reason], name)
			}
			if harness.Required() && !slices.ContainsFunc(allowed, func(re *regexp.Regexp) bool { return re.MatchString(name) }) {
				wanted = append(wanted, name)
			}
		}
	}
	if len(why) > 0 {
		fmt.Println("\nskipped for everybody:")
		reasons := make([]string, 0, len(why))
		for reason := range why {
			reasons = append(reasons, reason)
		}
		slices.Sort(reasons)
		for _, reason := range reasons {
			names := why[reason]
			slices.Sort(names)
			fmt.Printf("  %s\n", reason)
			for _, n := range names[:min(len(names), 5)] {
				fmt.Printf("    %s\n", n)
			}
			if len(names) > 5 {
				fmt.Printf("    and %d more\n", len(names)-5)
			}
		}
	}
	if len(wanted) > 0 {
		slices.Sort(wanted)
		fmt.Printf("\nthis machine was set up to run these, but nobody did (see .ci/skips):\n  %s\n", strings.Join(wanted, "\n  "))
	}
	if len(r.failed) > 0 {
		fmt.Printf("\nfailed:\n  %s\n", strings.Join(r.failed, "\n  "))
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return len(r.failed) == 0 && failed == 0 && len(wanted) == 0
}

// allowedSkips reads .ci/skips: a regular expression a line, after a comment
// that says why.
func allowedSkips(file string) ([]*regexp.Regexp, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []*regexp.Regexp
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		re, err := regexp.Compile("^" + line + "$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, re)
	}
	return list, nil
}
