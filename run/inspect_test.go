package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rl/run/state"
)

func TestDriverOfContainer(t *testing.T) {
	for _, c := range []struct {
		name   string
		rec    state.Record
		file   string
		driver string
		lacked []string
	}{
		{"started", state.Record{Layers: []string{"/l"}}, "", "kernel", nil},
		{"on another rung", state.Record{Layers: []string{"/l"}}, "fuse\nno kernel: overlayfs is refused\n", "fuse", []string{"no kernel: overlayfs is refused"}},
		{"pinned", state.Record{Layers: []string{"/l"}, Driver: "copy"}, "copy\n", "copy", nil},
		{"never started", state.Record{Layers: []string{"/l"}, Fresh: true}, "", "", nil},
		{"never started, pinned", state.Record{Layers: []string{"/l"}, Fresh: true, Driver: "fuse"}, "", "fuse", nil},
		{"of a directory", state.Record{}, "", "", nil},
	} {
		d := Description{Record: &c.rec, Dir: t.TempDir()}
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(d.Dir, state.DriverFile), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d.driver()
		if d.Driver != c.driver || !slices.Equal(d.Lacked, c.lacked) {
			t.Errorf("%s: %q, %q", c.name, d.Driver, d.Lacked)
		}
	}
}
