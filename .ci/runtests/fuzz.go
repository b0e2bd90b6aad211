package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// fuzzAll runs every fuzz target, one after the other, as the first user. What
// it finds is copied next to the package, to be committed.
func (r *runner) fuzzAll(pkgs []pkg) (bool, error) {
	ok, who := true, r.users[0]
	for _, p := range pkgs {
		if p.test == "" {
			ok = false
			continue
		}
		out, err := r.command(p, who, "-test.list=^Fuzz").Output()
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.path, err)
		}
		for target := range strings.FieldsSeq(string(out)) {
			if !strings.HasPrefix(target, "Fuzz") || !matches(r.run, target) {
				continue
			}
			corpus := filepath.Join(who.Home, "tmp", p.path)
			if err := os.MkdirAll(corpus, 0o777); err != nil {
				return false, err
			}
			cmd := r.command(p, who, "-test.run=^$", "-test.fuzz=^"+target+"$", "-test.fuzztime="+r.fuzz.String(),
				"-test.fuzzcachedir="+filepath.Join(who.Home, "tmp", "corpus"), "-test.parallel="+strconv.Itoa(runtime.NumCPU()))
			fmt.Printf("%s %s\n", p.path, target)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if r.users[0].Other() {
				// It writes what it finds below its working directory.
				found := filepath.Join(cmd.Dir, "testdata", "fuzz", target)
				if err := os.MkdirAll(found, 0o777); err != nil {
					return false, err
				}
				for dir := found; dir != cmd.Dir; dir = filepath.Dir(dir) {
					if err := os.Chmod(dir, 0o777); err != nil {
						return false, err
					}
				}
			}
			if err := cmd.Run(); err != nil {
				ok = false
				if err := r.keep(p, target); err != nil {
					return false, err
				}
			}
		}
	}
	return ok, nil
}

func matches(re, name string) bool {
	ok, err := regexp.MatchString(re, name)
	return re == "" || err == nil && ok
}

// keep copies failing inputs from the copied tree to the checkout.
func (r *runner) keep(p pkg, target string) error {
	if r.src == r.top {
		return nil
	}
	from := filepath.Join(r.src, p.dir, "testdata", "fuzz", target)
	to := filepath.Join(r.top, p.dir, "testdata", "fuzz", target)
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		in, err := os.Open(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		out, err := os.Create(filepath.Join(to, e.Name()))
		if err == nil {
			_, err = io.Copy(out, in)
			err = errors.Join(err, out.Close())
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// coverage adds up what tests and rl itself reached, package by package.
func (r *runner) coverage() error {
	var dirs []string
	for _, u := range r.users {
		dirs = append(dirs, filepath.Join(u.Home, "cover"))
	}
	cmd := exec.Command("go", "tool", "covdata", "percent", "-i="+strings.Join(dirs, ","))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
