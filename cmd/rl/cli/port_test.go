package cli

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"rl/run/state"
)

// A container that runs has the ports that its record names; one that ended has
// none.
func TestPort(t *testing.T) {
	root := t.TempDir()
	t.Setenv("RL_ROOT", root)
	r := state.Root(root)
	rec := &state.Record{ID: state.NewID(), Name: "web", Ports: []state.PublishedPort{
		{Proto: "udp", HostPort: 5353, HostIP: netip.MustParseAddr("::1"), ContainerPort: 53},
		{Proto: "tcp", HostPort: 8443, HostIP: netip.MustParseAddr("127.0.0.1"), ContainerPort: 443},
		{Proto: "tcp", HostPort: 8080, ContainerPort: 80},
	}}
	box, err := r.Create(rec)
	if err != nil {
		t.Fatal(err)
	}
	port := func(args ...string) (out, why string) {
		t.Helper()
		files := [2]*os.File{}
		for i := range files {
			f, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files[i] = f
		}
		code := Main(append([]string{"port"}, args...), Stdio{Out: files[0], Err: files[1]})
		text, err := os.ReadFile(files[0].Name())
		if err != nil {
			t.Fatal(err)
		}
		fault, err := os.ReadFile(files[1].Name())
		if err != nil {
			t.Fatal(err)
		}
		if (code == 0) != (len(fault) == 0) || code != 0 && code != exitFailure {
			t.Errorf("rl port %q: status %d, %s", args, code, fault)
		}
		return string(text), string(fault)
	}
	const all = "53/udp -> [::1]:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n443/tcp -> 127.0.0.1:8443\n"
	for _, c := range []struct {
		args     []string
		out, err string
	}{
		{[]string{"web"}, all, ""},
		{[]string{rec.ID[:8]}, all, ""},
		{[]string{"web", "80"}, "0.0.0.0:8080\n[::]:8080\n", ""},
		{[]string{"web", "53/udp"}, "[::1]:5353\n", ""},
		{[]string{"web", "53"}, "", "rl: no public port '53/tcp' published for web\n  `rl port web` lists what there is\n"},
		{[]string{"web", "x"}, "", "rl: exposed port \"x\": invalid range format\n  write PORT[/udp] or FIRST-LAST[/udp], as in 80 or 8000-8010/tcp\n"},
		{[]string{"none"}, "", "rl: no such container: \"none\"\n  give its name, its id, or the beginning of its id\n"},
	} {
		if out, err := port(c.args...); out != c.out || err != c.err {
			t.Errorf("rl port %q:\n%s%s\nwant\n%s%s", c.args, out, err, c.out, c.err)
		}
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := port("web"); out+err != "" {
		t.Errorf("of a container that ended: %s%s", out, err)
	}
}
