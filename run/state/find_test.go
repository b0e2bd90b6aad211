package state

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	r := Root(t.TempDir())
	if _, err := r.Find("abc"); !errors.Is(err, ErrNotFound) {
		t.Errorf("in an empty store: %v", err)
	}
	a := &Record{ID: "aa1" + strings.Repeat("0", 61), Name: "web", Ports: []PublishedPort{
		{Proto: "tcp", HostPort: 8080, ContainerPort: 80}, {Proto: "udp", HostIP: netip.MustParseAddr("::1"), HostPort: 53, ContainerPort: 53}}}
	b := &Record{ID: "aa2" + strings.Repeat("0", 61), Name: "ab", Remove: true}
	c := &Record{ID: "ab3" + strings.Repeat("0", 61), Name: "x"}
	for _, rec := range []*Record{a, b, c} {
		create(t, r, rec).Close()
	}
	for text, want := range map[string]string{
		"web": a.ID, "/web": a.ID, a.ID: a.ID, a.ID[:12]: a.ID, "aa1": a.ID, "aa2": b.ID,
		"ab": b.ID, "ab3": c.ID, // a name comes before the beginning of an id
		"aa": "begins with", "": "no such", "no": "no such", "fff": "no such", "WEB": "no such", "../names/web": "no such", "..": "no such", ".": "no such",
		"web\x00": "no such", strings.Repeat("a", 1000): "no such",
	} {
		got, err := r.Find(text)
		switch {
		case len(want) == 64 && (err != nil || got.ID != want):
			t.Errorf("%q: %v, %v", text, got, err)
		case len(want) != 64 && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	if got, err := r.Find("web"); err != nil || !reflect.DeepEqual(got.Ports, a.Ports) {
		t.Errorf("ports %v, %v", got, err)
	}
	if err := os.Remove(filepath.Join(r.Dir(a), "state.json")); err != nil { // its creator was killed
		t.Fatal(err)
	}
	if _, err := r.Find("web"); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a record: %v", err)
	}
}
