package idmap_test

import (
	"strings"
	"testing"

	"rl/userns/idmap"
)

// FuzzSub: whatever /etc/subuid says, the maps made of it are ones the kernel
// takes (no overlap inside or outside, no wrap), and no id of the container is
// an id of the host that is neither the caller's nor granted.
func FuzzSub(f *testing.F) {
	f.Add("ann:100000:65536\n", uint32(1000), uint32(1000))
	f.Add("ann:999:5\n1000:4294967290:4\n", uint32(1000), uint32(0))
	f.Add("ann:0:4294967295\n", uint32(5), uint32(4294967294))
	f.Add("#\nann:1:2\nann:1:2\nann:3:1", uint32(2), uint32(3))
	f.Fuzz(func(t *testing.T, text string, uid, as uint32) {
		granted, err := idmap.ParseSub(strings.NewReader(text), "f", "ann", 1000)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		for i, a := range granted {
			if a.Size == 0 || uint64(a.Start)+uint64(a.Size) > 1<<32-1 {
				t.Fatalf("span %v wraps or is empty", a)
			}
			for _, b := range granted[:i] {
				if uint64(a.Start) < uint64(b.Start)+uint64(b.Size) && uint64(b.Start) < uint64(a.Start)+uint64(a.Size) {
					t.Fatalf("spans %v and %v overlap", a, b)
				}
			}
		}
		m, err := idmap.KeepID(uid, uid, as, as, granted, granted)
		if err != nil {
			return
		}
		if err := m.UIDs.Check(); err != nil {
			t.Fatalf("map %q: %v", m.UIDs.String(), err)
		}
		if host, ok := m.UIDs.ToHost(as); !ok || host != uid {
			t.Fatalf("the caller %d is %d, %v as %d", uid, host, ok, as)
		}
		want := uint64(1)
		for _, s := range granted {
			want += uint64(s.Size)
			if uid >= s.Start && uid-s.Start < s.Size {
				want--
			}
		}
		if m.UIDs.Size() != want {
			t.Fatalf("%d ids mapped, %d granted", m.UIDs.Size(), want)
		}
		for _, r := range m.UIDs {
			for _, inside := range []uint32{r.Container, r.Container + r.Size/2, r.Container + r.Size - 1} {
				host, ok := m.UIDs.ToHost(inside)
				back, okBack := m.UIDs.ToContainer(host)
				if !ok || !okBack || back != inside {
					t.Fatalf("id %d is %d outside, which is %d inside", inside, host, back)
				}
				if host != uid && !within(granted, host) {
					t.Fatalf("id %d inside is %d outside, which nobody granted", inside, host)
				}
			}
		}
		again, err := idmap.ParseProcMap(strings.NewReader(m.UIDs.String()), "map")
		if err != nil || again.String() != m.UIDs.String() {
			t.Fatalf("the map reads back as %v, %v", again, err)
		}
	})
}

func within(granted []idmap.Span, id uint32) bool {
	for _, s := range granted {
		if id >= s.Start && id-s.Start < s.Size {
			return true
		}
	}
	return false
}

// FuzzName: maps that read back from different tables have different names,
// unless they are single-id maps.
func FuzzName(f *testing.F) {
	f.Add("0 0 5\n", "0 0 4\n")
	f.Add("0 5 1\n1 6 1\n", "0 5 2\n")
	f.Add("0 5 1\n1 60 10\n", "0 5 1\n1 6 10\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := idmap.ParseProcMap(strings.NewReader(a), "a")
		y, errY := idmap.ParseProcMap(strings.NewReader(b), "b")
		if errX != nil || errY != nil || x.Size() < 2 && y.Size() < 2 {
			return
		}
		same := x.Size() == y.Size()
		for _, r := range x {
			for _, id := range []uint32{r.Container, r.Container + r.Size - 1} {
				hx, _ := x.ToHost(id)
				hy, ok := y.ToHost(id)
				same = same && ok && hx == hy
			}
		}
		for _, r := range y {
			for _, id := range []uint32{r.Container, r.Container + r.Size - 1} {
				hy, _ := y.ToHost(id)
				hx, ok := x.ToHost(id)
				same = same && ok && hx == hy
			}
		}
		nx, ny := idmap.Map{UIDs: x, GIDs: x}.Name(), idmap.Map{UIDs: y, GIDs: y}.Name()
		if same != (nx == ny) {
			t.Errorf("%q is %s and %q is %s, the same pairs: %v", a, nx, b, ny, same)
		}
	})
}
