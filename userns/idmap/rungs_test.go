package idmap_test

import (
	"strings"
	"testing"

	"rl/userns/idmap"
)

type spans = []idmap.Span

func TestRungs(t *testing.T) {
	sub := spans{{Start: 100000, Size: 65536}}
	for _, c := range []struct {
		name       string
		got        func() (idmap.Map, error)
		uids, gids string // contents of uid_map and gid_map
		dir        string
	}{
		{
			"subordinate", func() (idmap.Map, error) { return idmap.Subordinate(1000, 1001, sub, sub) },
			"0 1000 1\n1 100000 65536\n", "0 1001 1\n1 100000 65536\n", "u1000-100000x65536-g1001-100000x65536",
		},
		{
			"two ranges, the second before the first", func() (idmap.Map, error) {
				return idmap.Subordinate(7, 7, spans{{500000, 10}, {200000, 5}}, spans{{500000, 10}, {200000, 5}})
			},
			"0 7 1\n1 500000 10\n11 200000 5\n", "0 7 1\n1 500000 10\n11 200000 5\n", "u7-500000x10-200000x5",
		},
		{
			"neighbours are joined", func() (idmap.Map, error) {
				return idmap.Subordinate(99, 99, spans{{100, 10}, {110, 10}}, nil)
			},
			"0 99 21\n", "0 99 1\n", "u99x21-g99",
		},
		{
			"no subordinate groups", func() (idmap.Map, error) { return idmap.Subordinate(1000, 1000, sub, nil) },
			"0 1000 1\n1 100000 65536\n", "0 1000 1\n", "u1000-100000x65536-g1000",
		},
		{
			"the caller's own id is within a range", func() (idmap.Map, error) {
				return idmap.Subordinate(1000, 1000, spans{{999, 4}}, spans{{1000, 2}})
			},
			"0 1000 1\n1 999 1\n2 1001 2\n", "0 1000 2\n", "u1000-999-1001x2-g1000x2",
		},
		{
			"keep-id", func() (idmap.Map, error) { return idmap.KeepID(1000, 1000, 1000, 1000, sub, sub) },
			"0 100000 1000\n1000 1000 1\n1001 101000 64536\n", "0 100000 1000\n1000 1000 1\n1001 101000 64536\n",
			"u100000x1000-1000-101000x64536",
		},
		{
			"keep-id with other ids, split in the middle of the second range", func() (idmap.Map, error) {
				return idmap.KeepID(1000, 1000, 6, 0, spans{{100, 4}, {200, 4}}, spans{{100, 4}})
			},
			"0 100 4\n4 200 2\n6 1000 1\n7 202 2\n", "0 1000 1\n1 100 4\n", "u100x4-200x2-1000-202x2-g1000-100x4",
		},
		{
			"keep-id with a hole", func() (idmap.Map, error) { return idmap.KeepID(1000, 1000, 1000, 1000, spans{{100, 4}}, nil) },
			"0 100 4\n1000 1000 1\n", "1000 1000 1\n", "u100x4-1000_1000-g1000_1000",
		},
		{
			"single", func() (idmap.Map, error) { return idmap.Single(1000, 1001, 0, 0) },
			"0 1000 1\n", "0 1001 1\n", "single",
		},
		{
			"single under another id", func() (idmap.Map, error) { return idmap.Single(1000, 1001, 33, 34) },
			"33 1000 1\n", "34 1001 1\n", "single",
		},
		{
			"straight, all ids", func() (idmap.Map, error) {
				all := idmap.Ranges{{0, 0, 4294967295}}
				return idmap.Straight(all, all)
			},
			"0 0 4294967295\n", "0 0 4294967295\n", "u0x4294967295",
		},
		{
			"straight, within a container", func() (idmap.Map, error) {
				have := idmap.Ranges{{0, 1000, 1}, {1, 100000, 65536}}
				return idmap.Straight(have, have)
			},
			"0 0 1\n1 1 65536\n", "0 0 1\n1 1 65536\n", "u0x65537", // not merged: one line lies within one line of the parent
		},
		{
			"straight, with a gap", func() (idmap.Map, error) {
				return idmap.Straight(idmap.Ranges{{0, 5, 1}, {1000, 6, 1}}, idmap.Ranges{{0, 5, 1}})
			},
			"0 0 1\n1000 1000 1\n", "0 0 1\n", "u0-1000_1000-g0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.got()
			if err != nil {
				t.Fatal(err)
			}
			if m.UIDs.String() != c.uids || m.GIDs.String() != c.gids {
				t.Errorf("uids %q, want %q; gids %q, want %q", m.UIDs.String(), c.uids, m.GIDs.String(), c.gids)
			}
			if m.Name() != c.dir {
				t.Errorf("name %q, want %q", m.Name(), c.dir)
			}
		})
	}
}

func TestRungsRefuse(t *testing.T) {
	many := func(n int) (s spans) {
		for i := range n {
			s = append(s, idmap.Span{Start: uint32(2 + 2*i), Size: 1})
		}
		return s
	}
	for _, c := range []struct {
		name string
		got  func() (idmap.Map, error)
		want string
	}{
		{"overlap", func() (idmap.Map, error) { return idmap.Subordinate(0, 0, spans{{10, 5}, {14, 5}}, nil) }, "host id 14 is mapped twice"},
		{"overlap of groups", func() (idmap.Map, error) { return idmap.Subordinate(0, 0, nil, spans{{10, 5}, {10, 5}}) }, "host id 10 is mapped twice"},
		{"too many lines", func() (idmap.Map, error) { return idmap.Subordinate(0, 0, many(340), nil) }, "341 lines"},
		{"longer than a page", func() (idmap.Map, error) {
			var s spans
			for i := range 330 {
				s = append(s, idmap.Span{Start: uint32(1000000000 + 10*i), Size: 5})
			}
			return idmap.Subordinate(0, 0, s, nil)
		}, "the kernel takes at most"},
		{"straight of no ids", func() (idmap.Map, error) { return idmap.Straight(idmap.Ranges{{0, 0, 0}}, nil) }, "a range of no ids"},
		{"past the last id", func() (idmap.Map, error) { return idmap.Single(4294967295, 0, 0, 0) }, "past the last id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.got()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := idmap.Subordinate(0, 0, many(339), nil); err != nil {
		t.Errorf("340 lines are allowed: %v", err)
	}
}

func TestLookups(t *testing.T) {
	m, err := idmap.KeepID(1000, 1000, 1000, 1000, spans{{100000, 2000}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		inside, outside uint32
		ok              bool
	}{{0, 100000, true}, {999, 100999, true}, {1000, 1000, true}, {1001, 101000, true}, {2000, 101999, true}, {2001, 0, false}, {4294967295, 0, false}} {
		if got, ok := m.UIDs.ToHost(c.inside); got != c.outside || ok != c.ok || m.UIDs.Covers(c.inside) != c.ok {
			t.Errorf("ToHost(%d) = %d, %v, want %d, %v", c.inside, got, ok, c.outside, c.ok)
		}
		if !c.ok {
			continue
		}
		if got, ok := m.UIDs.ToContainer(c.outside); got != c.inside || !ok {
			t.Errorf("ToContainer(%d) = %d, %v, want %d", c.outside, got, ok, c.inside)
		}
	}
	if _, ok := m.UIDs.ToContainer(102000); ok {
		t.Error("an id that was not granted has a name inside")
	}
	if m.UIDs.Size() != 2001 || m.GIDs.Size() != 1 {
		t.Errorf("sizes %d and %d", m.UIDs.Size(), m.GIDs.Size())
	}
	args := strings.Join(idmap.NewidmapArgs(42, m.UIDs), " ")
	if want := "42 0 100000 1000 1000 1000 1 1001 101000 1000"; args != want {
		t.Errorf("newuidmap %s, want %s", args, want)
	}
}

func TestName(t *testing.T) {
	maps := []idmap.Map{
		{UIDs: idmap.Ranges{{0, 1, 2}}, GIDs: idmap.Ranges{{0, 1, 2}}},
		{UIDs: idmap.Ranges{{0, 12, 2}}, GIDs: idmap.Ranges{{0, 12, 2}}},
		{UIDs: idmap.Ranges{{0, 1, 22}}, GIDs: idmap.Ranges{{0, 1, 22}}},
		{UIDs: idmap.Ranges{{0, 1, 2}}, GIDs: idmap.Ranges{{0, 1, 1}}},
		{UIDs: idmap.Ranges{{0, 1, 1}}, GIDs: idmap.Ranges{{0, 1, 2}}},
		{UIDs: idmap.Ranges{{5, 1, 2}}, GIDs: idmap.Ranges{{0, 1, 2}}},
		{UIDs: idmap.Ranges{{0, 1, 1}, {1, 3, 1}}, GIDs: idmap.Ranges{{0, 1, 2}}},
		{UIDs: idmap.Ranges{{0, 1, 1}, {2, 3, 1}}, GIDs: idmap.Ranges{{0, 1, 2}}},
		{UIDs: idmap.Ranges{{0, 1, 1}, {1, 3, 1}}, GIDs: idmap.Ranges{{0, 1, 1}, {1, 3, 1}}},
	}
	for i := range 12 { // long ones, which differ in their last line only
		var r idmap.Ranges
		for j := range 30 {
			r = append(r, idmap.Range{Container: uint32(j), Host: uint32(1000000 + 2*j), Size: 1})
		}
		r[29].Host += uint32(i)
		maps = append(maps, idmap.Map{UIDs: r, GIDs: r})
	}
	seen := map[string]int{}
	for i, m := range maps {
		n := m.Name()
		if j, ok := seen[n]; ok {
			t.Errorf("maps %d and %d are both %s", i, j, n)
		}
		seen[n] = i
		if len(n) > 80 || strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("%q is not a name for a directory", n)
		}
	}
	a := idmap.Map{UIDs: idmap.Ranges{{0, 5, 1}, {1, 6, 9}}, GIDs: idmap.Ranges{{1, 6, 9}, {0, 5, 1}}}
	b := idmap.Map{UIDs: idmap.Ranges{{0, 5, 10}}, GIDs: idmap.Ranges{{0, 5, 10}}}
	if a.Name() != b.Name() || a.Name() != "u5x10" {
		t.Errorf("the same pairs have the names %s and %s", a.Name(), b.Name())
	}
}
