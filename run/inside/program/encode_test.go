package program

import (
	"reflect"
	"testing"
)

func full() *Program {
	return &Program{
		Join: 1 << 28, Root: "/r", Hostname: "h", Domainname: "d", LoopbackUp: true, CgroupNS: true, ReadOnly: true,
		Ops:             []Op{{Kind: Bind, Opts: OptIsFile, Mode: 0o644, Flags: 1 << 40, Prop: 7, Source: "/s", Target: "/t", Type: "x", Data: "a,b"}, {Kind: Proc}},
		CreateContainer: []Hook{{"/h", []string{"a"}, []string{"E=1"}, 3}}, StartContainer: []Hook{{Path: "/i"}}, HookState: "{",
		Rlimits: []Rlimit{{Name: "nofile", Resource: 7, Soft: 1, Hard: ^uint64(0)}},
		User:    "joe:users", Groups: []string{"a", ""}, KeepGroups: true, SingleID: true, Caps: 1<<40 | 1, NoNewPriv: true,
		Filter: []byte{0, 1, 2}, FilterFlags: 4, FakeRoot: []byte{3}, FakePlain: []byte{4}, FakeFlags: 8,
		Umask: 0o27, SetUmask: true, OOMScore: -500, SetOOM: true, Terminal: true, Rows: 24, Cols: 80, Reaper: true,
		Cwd: "/", Argv: []string{"sh", "-c", "x\xff"}, Env: []string{"A=1", "B="},
	}
}

// Every field survives: one that walk forgets is a container that starts wrong.
func TestEncodeKeepsEveryField(t *testing.T) {
	p := full()
	v := reflect.ValueOf(*p)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s at zero", v.Type().Field(i).Name)
		}
	}
	got, ok := Decode(p.Encode())
	if !ok || !reflect.DeepEqual(got, p) {
		t.Fatalf("got %+v, %v\nwant %+v", got, ok, p)
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	b := full().Encode()
	for n := range len(b) {
		if _, ok := Decode(b[:n]); ok {
			t.Fatalf("%d of %d bytes were taken for a program", n, len(b))
		}
	}
	if _, ok := Decode(append(b, 0)); ok {
		t.Error("a byte too many was not noticed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Decode(b)
		if !ok {
			return
		}
		again, ok := Decode(p.Encode())
		if !ok || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v came back as %+v", p, again)
		}
	})
}
