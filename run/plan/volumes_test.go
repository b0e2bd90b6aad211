package plan

import (
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/run/inside/program"
	"rl/run/plan/option"
)

// What is said of a container counts more than what --volumes-from brings, and that more
// than what the image declares.
func TestInheritedMounts(t *testing.T) {
	image := v1.ImageConfig{Cmd: []string{"sh"}, Volumes: map[string]struct{}{"/data": {}, "/more": {}}}
	f := Flags{
		Mounts: []option.Mount{{Type: option.Volume, Source: "own", Target: "/x"}},
		Inherited: []option.Mount{
			{Type: option.Volume, Source: "theirs", Target: "/x"},
			{Type: option.Volume, Source: "anon", Target: "/data", Anonymous: true},
			{Type: option.Bind, Source: "/host", Target: "/host"},
		},
	}
	p := mustPlan(t, image, f, facts(t))
	got := map[string]string{}
	for _, m := range p.Mounts {
		if got[m.Target] != "" {
			t.Errorf("two mounts on %s", m.Target)
		}
		got[m.Target] = m.Source
		if m.Anonymous != (m.Source == "anon") {
			t.Errorf("%s: anonymous %v", m.Source, m.Anonymous)
		}
	}
	for target, source := range map[string]string{"/x": "own", "/data": "anon", "/host": "/host", "/more": "anon"} {
		if got[target] != source {
			t.Errorf("on %s is %q, not %q", target, got[target], source)
		}
	}
}

// A part of a volume is found by init, in the volume: its path is never walked on the host.
func TestSubpath(t *testing.T) {
	f := Flags{Mounts: []option.Mount{{Type: option.Volume, Source: "vol", Target: "/x", Subpath: "a/b", ReadOnly: true}}}
	p := mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, f, facts(t))
	prog := p.Program("/r", func(s string) (string, bool) {
		if s == "/v/vol/_data/a/b" {
			t.Error("the part was looked at on the host")
		}
		return "", false
	})
	for _, op := range prog.Ops {
		if op.Target == "/x" {
			if op.Kind != program.Bind || op.Source != "/v/vol/_data" || op.Data != "a/b" || op.Opts&program.OptWithin == 0 {
				t.Errorf("%+v", op)
			}
			return
		}
	}
	t.Error("no mount on /x")
}
