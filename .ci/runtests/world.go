package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rl/cmd/rl/harness"
)

// people finds who runs the tests.
func (r *runner) people() error {
	names := []string{""}
	if os.Getuid() == 0 {
		names = []string{harness.UserWithSubids, harness.UserWithoutSubids}
		if err := os.Chmod(r.dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range names {
		p, err := harness.NewPerson(name, r.dir)
		if err != nil {
			return err
		}
		p.Env = append(p.Env, "RL_TEST_BINARY="+filepath.Join(r.dir, "bin", "rl"))
		if v := os.Getenv("RL_TEST_VERBOSE"); v != "" {
			p.Env = append(p.Env, "RL_TEST_VERBOSE="+v)
		}
		if r.debian != "" {
			p.Env = append(p.Env, "RL_TEST_DEBIAN_TAR="+r.debian)
		}
		if r.cover {
			p.Env = append(p.Env, "GOCOVERDIR="+filepath.Join(p.Home, "cover"))
		}
		if name == harness.UserWithSubids {
			if err := p.Delegate(); err != nil {
				return err
			}
		}
		r.users = append(r.users, p)
	}
	return nil
}

// tree is where the tests run: the checkout itself, or, for other users, a copy
// of it: root's may lie where they cannot walk.
func (r *runner) tree() error {
	r.src = r.top
	if !r.users[0].Other() {
		return nil
	}
	r.src = filepath.Join(r.dir, "src")
	return filepath.WalkDir(r.top, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.top, path)
		if err != nil {
			return err
		}
		to := filepath.Join(r.src, rel)
		switch {
		case rel == ".git" && d.IsDir():
			return filepath.SkipDir
		case rel == ".git", rel == "rl": // of a worktree it is a file
			return nil
		case d.IsDir():
			return os.Mkdir(to, 0o755)
		case d.Type().IsRegular():
			st, err := d.Info()
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				return err
			}
			return os.Chmod(to, st.Mode().Perm()|0o444)
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		return nil
	})
}

// images makes those images that tests use, and that not every user can make.
func (r *runner) images() error {
	for _, image := range harness.Images {
		start := time.Now()
		_, err := harness.Layout(image)
		switch {
		case errors.Is(err, harness.ErrCannot) && !harness.Required():
			fmt.Printf("set-up: image %s: %v\n", image, err)
			continue
		case err != nil:
			return err
		case time.Since(start) > time.Second:
			fmt.Printf("set-up: made image %s in %.0f s\n", image, time.Since(start).Seconds())
		}
		if image == "debian" {
			if r.debian, err = harness.Layer(image); err != nil {
				return err
			}
		}
	}
	return nil
}
