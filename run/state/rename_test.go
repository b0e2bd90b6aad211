package state

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Renamed by many at once, a container has one name, and nobody else's was taken.
func TestRename(t *testing.T) {
	r := Root(t.TempDir())
	var recs []*Record
	for i := range 4 {
		rec := &Record{Name: fmt.Sprintf("box%d", i)}
		create(t, r, rec).Close()
		recs = append(recs, rec)
	}
	if err := r.Rename(recs[0], "box1"); err == nil {
		t.Error("a name was taken away")
	}
	if err := r.Rename(recs[0], "box0"); err == nil {
		t.Error("renamed to the name it has")
	}
	var wg sync.WaitGroup
	for _, rec := range recs {
		for i := range 4 {
			wg.Go(func() {
				for k := range 20 {
					mine := *rec
					r.Rename(&mine, fmt.Sprintf("name%d", (i+k)%6)) // which may be taken
				}
			})
		}
	}
	wg.Wait()
	names, seen := r.Names(), map[string]bool{}
	if len(names) != len(recs) {
		t.Errorf("%d containers have the names %q", len(recs), names)
	}
	for _, rec := range recs {
		got, err := r.Read(rec.ID)
		if err != nil {
			t.Fatal(err)
		}
		if id, _ := os.Readlink(r.name(got.Name)); id != rec.ID || seen[got.Name] {
			t.Errorf("container %.12s is called %s, which is %.12s's", rec.ID, got.Name, id)
		}
		seen[got.Name] = true
		if found, err := r.Find(got.Name); err != nil || found.ID != rec.ID || found.Name != got.Name {
			t.Errorf("by its name: %+v, %v", found, err)
		}
	}
	if err := r.Unrecord(recs[0]); err != nil { // by the record from before
		t.Fatal(err)
	}
	if left := r.Names(); len(left) != len(recs)-1 {
		t.Errorf("the names %q are left", left)
	}
}

// A name whose container is gone is free.
func TestRenameToStale(t *testing.T) {
	r := Root(t.TempDir())
	rec, gone := &Record{Name: "box"}, &Record{Name: "gone"}
	create(t, r, rec).Close()
	create(t, r, gone).Close()
	if err := os.RemoveAll(r.Dir(gone)); err != nil {
		t.Fatal(err)
	}
	if err := r.Rename(rec, "gone"); err != nil {
		t.Error(err)
	}
}
