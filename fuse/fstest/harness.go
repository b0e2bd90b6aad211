package fstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Dirs are the directories a driver is to put together.
type Dirs struct {
	Lowers   []string // topmost first
	Upper    string   // "" in a read-only case
	Work     string
	Target   string
	ReadOnly bool
}

// Mount mounts and unmounts in its cleanup. root is where the tree is;
// remount unmounts and mounts again, as the restart of a container does.
type Mount func(t testing.TB, d Dirs) (root string, remount func())

// Options of a run. The zero value is right for a driver without faults.
type Options struct {
	// Base is an existing directory to build in, on the filesystem that Upper
	// shall be on, from [DiskDir] (also "") or [TmpfsDir], which delete it.
	Base string
	// Except names the cases that the driver is known to fail, with the reason.
	Except map[string]string
	// Only runs the cases whose name has this prefix.
	Only string
}

// Case is one named expectation.
type Case struct {
	Name   string // "group/what holds"
	Layers Layers
	run    func(c *C)
	need   need
}

// need says who can run a case; 0 is everybody.
type need int

const (
	asRoot   need = 1 << iota // capabilities in the namespace
	asUser                    // somebody without privilege
	manyUIDs                  // ids other than the caller's
	readOnly                  // the tree is mounted read-only, without upper
)

// Cases are all cases, in groups.
func Cases() []Case {
	var all []Case
	for _, group := range [][]Case{
		whiteoutCases(), mergeCases(), copyUpCases(), ownerCases(), linkCases(), renameCases(), renameDirCases(),
		openCases(), dataCases(), mmapCases(), xattrCases(), aclCases(), permCases(), setIDCases(),
		readdirCases(), specialCases(), execCases(), lockCases(), timeCases(), nameCases(), depthCases(),
		readOnlyCases(), remountCases(), unlinkCases(),
	} {
		all = append(all, group...)
	}
	return all
}

// Run runs every case as every identity of this user namespace.
func Run(t *testing.T, mount Mount, o Options) {
	t.Helper()
	ids, err := identities()
	if err != nil {
		t.Fatal(err)
	}
	if o.Base == "" {
		o.Base = DiskDir(t)
	}
	cases := Cases()
	known := map[string]bool{}
	for _, c := range cases {
		if known[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		known[c.Name] = true
	}
	for name := range o.Except {
		if !known[name] {
			t.Errorf("the exception %q names no case", name)
		}
	}
	for _, id := range ids {
		t.Run(id.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				if c.applies(id) && strings.HasPrefix(c.Name, o.Only) {
					t.Run(c.Name, func(t *testing.T) { c.test(t, id, mount, o) })
				}
			}
		})
	}
}

func (k Case) applies(id identity) bool {
	return !(k.need&asRoot != 0 && !id.root || k.need&asUser != 0 && id.root || k.need&manyUIDs != 0 && !id.ids)
}

func (k Case) test(t *testing.T, id identity, mount Mount, o Options) {
	dir, err := os.MkdirTemp(o.Base, "")
	if err != nil {
		t.Fatal(err)
	}
	// It is deleted with Base, at the end of all: ext4 takes long to make a file
	// where it has just deleted many (recently_deleted in fs/ext4/ialloc.c).
	d, err := k.dirs(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	before, err := snapshots(d.Lowers)
	if err != nil {
		t.Fatal(err)
	}
	c := &C{id: id, calls: make(chan func())}
	// Cleanups run last in, first out: this one after the driver's unmount.
	t.Cleanup(func() {
		after, err := snapshots(d.Lowers)
		if err != nil {
			t.Fatal(err)
		}
		for i := range before {
			if before[i] != after[i] {
				c.errorf("layer %d was changed:\n%s", i, difference(before[i], after[i]))
			}
		}
		k.verdict(t, c, o)
	})
	c.Root, c.remounter = mount(t, d)
	c.run(k)
	if c.skipped != "" {
		Skip(t, c.skipped)
	}
}

// verdict compares what happened to what the driver's table says.
func (k Case) verdict(t *testing.T, c *C, o Options) {
	if t.Skipped() {
		return
	}
	reason, excepted := o.Except[k.Name]
	switch {
	case excepted && len(c.errs) == 0:
		t.Errorf("passes, although it is excepted (%s): take it off the table", reason)
	case excepted:
		t.Logf("falls short, as documented: %s", reason)
	default:
		for _, e := range c.errs {
			t.Error(e)
		}
	}
}

func (k Case) dirs(dir string, id identity) (Dirs, error) {
	if err := unix.Chmod(dir, 0o755); err != nil {
		return Dirs{}, err
	}
	d := Dirs{Target: filepath.Join(dir, "root"), ReadOnly: k.need&readOnly != 0, Work: filepath.Join(dir, "work")}
	dirs := []string{d.Target, d.Work}
	if !d.ReadOnly {
		d.Upper = filepath.Join(dir, "upper")
		dirs = append(dirs, d.Upper)
	}
	for i := range k.Layers {
		d.Lowers = append(d.Lowers, filepath.Join(dir, "l"+strconv.Itoa(i)))
	}
	for _, m := range append(dirs, d.Lowers...) {
		if err := os.Mkdir(m, 0o755); err != nil {
			return d, err
		}
	}
	if d.Upper != "" {
		if err := own(d.Upper, id.uid, id.gid); err != nil {
			return d, err
		}
	}
	for i, l := range k.Layers {
		if err := l.build(d.Lowers[i], id); err != nil {
			return d, err
		}
	}
	return d, nil
}

func snapshots(dirs []string) ([]string, error) {
	all := make([]string, len(dirs))
	for i, d := range dirs {
		var err error
		if all[i], err = snapshot(d); err != nil {
			return nil, fmt.Errorf("looking at the layers: %w", err)
		}
	}
	return all, nil
}

// run runs the body on a thread of its own that has become the identity. What
// only root can do (remounting) is done here for it.
func (c *C) run(k Case) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.closeAll()
		if err := c.id.become(); err != nil {
			c.errorf("cannot become %s: %v", c.id.name, err)
			return
		}
		k.run(c)
	}()
	for {
		select {
		case call := <-c.calls:
			call()
		case <-done:
			return
		}
	}
}

// Skip skips a test and says why; when RL_TEST_REQUIRE is set, that is a failure.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("RL_TEST_REQUIRE") != "" {
		t.Fatalf("required, but would be skipped: %s", reason)
	}
	t.Skip(reason)
}
