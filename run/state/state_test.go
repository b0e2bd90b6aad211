package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rl/userns/sys/fault"
)

func create(t *testing.T, r Root, rec *Record) *Container {
	t.Helper()
	if rec.ID == "" {
		rec.ID = NewID()
	}
	c, err := r.Create(rec, "upper")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreate(t *testing.T) {
	r := Root(t.TempDir())
	rec := &Record{Image: "debian", Command: []string{"sh"}}
	c := create(t, r, rec)
	if rec.Name == "" || !strings.Contains(rec.Name, "_") {
		t.Errorf("the generated name is %q", rec.Name)
	}
	if !r.Running(rec.ID) {
		t.Error("a container whose lock is held counts as ended")
	}
	got, err := r.Read(rec.ID)
	if err != nil || got.Name != rec.Name || got.Image != "debian" {
		t.Errorf("read %+v, %v", got, err)
	}
	c.Close()
	if r.Running(rec.ID) {
		t.Error("a container with a free lock counts as running")
	}
}

func TestNameIsTakenOnce(t *testing.T) {
	r := Root(t.TempDir())
	first := &Record{Name: "web"}
	c := create(t, r, first)
	defer c.Close()
	second := &Record{ID: NewID(), Name: "web"}
	_, err := r.Create(second, "upper")
	var f *fault.Error
	if !errors.As(err, &f) || f.Hint == "" || !strings.Contains(err.Error(), first.ID[:12]) {
		t.Fatalf("a second container called web: %v", err)
	}
	if _, err := os.Lstat(r.Dir(second)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the refused container left its directory")
	}
	if err := os.RemoveAll(r.Dir(first)); err != nil { // killed before its name was freed
		t.Fatal(err)
	}
	create(t, r, second).Close()
	if got, _ := os.Readlink(r.name("web")); got != second.ID {
		t.Errorf("the name belongs to %q", got)
	}
}

// Litter is what was to be removed and whose lock is free, at whatever moment
// its owner died.
func TestLitter(t *testing.T) {
	r := Root(t.TempDir())
	running := &Record{Remove: true}
	c := create(t, r, running)
	defer c.Close()
	kept := &Record{}
	create(t, r, kept).Close()
	dead := &Record{Remove: true}
	create(t, r, dead).Close()
	halfRemoved := &Record{Remove: true}
	create(t, r, halfRemoved).Close()
	if err := os.Remove(filepath.Join(r.Dir(halfRemoved), "state.json")); err != nil {
		t.Fatal(err)
	}

	ids, locks := r.Litter()
	for _, l := range locks {
		defer l.Close()
	}
	found := strings.Join(ids, " ")
	for id, want := range map[string]bool{running.ID: false, kept.ID: false, dead.ID: true, halfRemoved.ID: true} {
		if strings.Contains(found, id) != want {
			t.Errorf("%.12s among the litter: %v, want %v", id, !want, want)
		}
	}
	if again, _ := r.Litter(); len(again) != 0 {
		t.Errorf("two sweepers found the same litter: %q", again)
	}
	if err := r.Forget(dead); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(r.name(dead.Name)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the name of a forgotten container stays")
	}
}

// Creation and sweeping go on at the same time, and no container is lost.
func TestCreateWhileSweeping(t *testing.T) {
	r := Root(t.TempDir())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ids, locks := r.Litter()
				for i, id := range ids {
					os.RemoveAll(r.Dir(&Record{ID: id, Remove: true}))
					locks[i].Close()
				}
			}
		})
	}
	var held []*Container
	for range 300 {
		held = append(held, create(t, r, &Record{Remove: true}))
	}
	close(stop)
	wg.Wait()
	for _, c := range held {
		if _, err := os.Lstat(filepath.Join(c.Dir, "state.json")); err != nil {
			t.Errorf("a container that is locked was swept: %v", err)
		}
		c.Close()
	}
}

func TestLayersInUse(t *testing.T) {
	r := Root(t.TempDir())
	rec := &Record{ImageID: "sha256:x", Layers: []string{"/l/1", "/l/2"}}
	create(t, r, rec).Close()
	used, err := r.Layers()
	if err != nil || !used["/l/1"] || !used["/l/2"] || len(used) != 2 {
		t.Errorf("%v, %v", used, err)
	}
	if ids, err := r.Using("sha256:x"); err != nil || len(ids) != 1 || ids[0] != rec.ID {
		t.Errorf("%v, %v", ids, err)
	}
}

func TestDamagedRecordIsAnError(t *testing.T) {
	r := Root(t.TempDir())
	rec := &Record{}
	create(t, r, rec).Close()
	if err := os.WriteFile(filepath.Join(r.Dir(rec), "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(rec.ID); err == nil {
		t.Error("a cut state.json was read")
	}
}
