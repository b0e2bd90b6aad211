package idmap

import "testing"

func TestWithin(t *testing.T) {
	sub := []Span{{100000, 65536}}
	base, err := Subordinate(1000, 1000, sub, sub)
	if err != nil {
		t.Fatal(err)
	}
	keep, err := KeepID(1000, 1000, 1000, 1000, sub, sub)
	if err != nil {
		t.Fatal(err)
	}
	more := []Span{{100000, 131072}}
	larger, err := Subordinate(1000, 1000, more, more)
	if err != nil {
		t.Fatal(err)
	}
	other := []Span{{300000, 65536}}
	moved, err := Subordinate(1000, 1000, other, other)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		made, here Map
		ok         bool
		seen       map[uint32]uint32 // of an id in here, what it was called
	}{
		{"the same", base, base, true, map[uint32]uint32{0: 0, 1000: 1000, 65536: 65536}},
		{"keep-id", base, keep, true, map[uint32]uint32{1000: 0, 0: 1, 999: 1000, 1001: 1001, 65536: 65536}},
		{"and back", keep, base, true, map[uint32]uint32{0: 1000, 1: 0, 1000: 999, 1001: 1001}},
		{"a longer range", base, larger, true, map[uint32]uint32{0: 0, 65536: 65536}},
		{"a shorter range", larger, base, false, nil},
		{"another range", base, moved, false, nil},
	} {
		seen, ok := c.made.Within(c.here)
		if ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
		}
		for id, want := range c.seen {
			if got, ok := seen.UIDs.ToContainer(id); !ok || got != want {
				t.Errorf("%s: %d is called %d, %v; want %d", c.name, id, got, ok, want)
			}
		}
	}
}

func TestParseName(t *testing.T) {
	for _, m := range []Map{
		{Ranges{{0, 1000, 1}, {1, 100000, 65536}}, Ranges{{0, 1000, 1}, {1, 100000, 65536}}},
		{Ranges{{0, 1000, 1}, {1, 100000, 65536}}, Ranges{{0, 100, 1}}},
		{Ranges{{0, 0, 4294967295}}, Ranges{{0, 0, 4294967295}}},
		{Ranges{{0, 100000, 1000}, {1000, 1000, 1}, {1001, 101000, 64536}}, Ranges{{5, 7, 9}, {100, 200, 1}}},
	} {
		got, ok := ParseName(m.Name())
		if !ok || got.UIDs.String() != m.UIDs.String() || got.GIDs.String() != m.GIDs.String() {
			t.Errorf("%s reads %v, %v", m.Name(), got, ok)
		}
	}
	for _, name := range []string{"", "single", "u", "u1-", "ux", "u1_", "u01", "u1-g", "u1000-100000x65536-g1000-100000x65536", "u5x4294967295"} {
		if m, ok := ParseName(name); ok {
			t.Errorf("%q reads %v", name, m)
		}
	}
}
