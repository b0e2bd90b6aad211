package dns

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNameservers(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"nameserver 127.0.0.53":  "127.0.0.53:53",
		"nameserver\t192.0.2.1 ": "192.0.2.1:53",
		"# by hand\n; nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\noptions edns0 trust-ad\nnameserver 192.0.2.2\n": "192.0.2.1:53 192.0.2.2:53",
		"nameserver fe80::1%eth0\nnameserver 2001:db8::1":                                        "[fe80::1%eth0]:53 [2001:db8::1]:53",
		"nameserver 127.0.0.1:5353\nnameserver [::1]:5353\nnameserver ::1":                       "127.0.0.1:5353 [::1]:5353 [::1]:53",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4": "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53",
		"nameserver 192.0.2.1\r\nnameserver 192.0.2.2 # second\r\n":                              "192.0.2.1:53 192.0.2.2:53",
		" nameserver 192.0.2.1\nnameservers 192.0.2.1\nnameserver\nnameserver dns.example.org\nnameserver 192.0.2.300\nnameserver 192.0.2.1:0\nnameserver 192.0.2.1:99999": "",
		"nameserver" + strings.Repeat(" ", 1<<17) + "192.0.2.1\x00\nnameserver \xff\xfe":                                                                                   "",
	} {
		var list []string
		for _, a := range nameservers(text) {
			list = append(list, a.String())
		}
		if got := strings.Join(list, " "); got != want {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

// The file changes in every way in which programs change it.
func TestHostResolversFollow(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"just written": 0, "written long ago": time.Hour} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "resolv.conf")
			c := &conf{path: path}
			now := time.Now()
			write := func(file, text string) {
				t.Helper()
				file = filepath.Join(dir, file)
				must(os.WriteFile(file, []byte(text), 0o600))
				if age > 0 {
					must(os.Chtimes(file, time.Time{}, now.Add(-age)))
				}
			}
			is := func(want string) {
				t.Helper()
				now = now.Add(time.Second)
				var list []string
				for _, a := range c.resolvers(now) {
					list = append(list, a.Addr().String())
				}
				if got := strings.Join(list, " "); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			is("")
			write("resolv.conf", "nameserver 192.0.2.1\n")
			is("192.0.2.1")
			is("192.0.2.1")
			write("resolv.conf", "nameserver 192.0.2.2\n") // in place, of the same size
			is("192.0.2.2")
			write("resolv.conf", "")
			is("")
			write("new", "nameserver 192.0.2.3\n")
			must(os.Rename(filepath.Join(dir, "new"), path))
			is("192.0.2.3")
			must(os.Remove(path))
			is("")
			must(os.Symlink("stub", path)) // to nowhere
			is("")
			write("stub", "nameserver 192.0.2.4\n")
			is("192.0.2.4")
			write("full", "nameserver 192.0.2.5\n")
			must(os.Remove(path))
			must(os.Symlink("full", path))
			is("192.0.2.5")
			must(os.Remove(path))
			must(os.Mkdir(path, 0o700)) // no file
			is("")
		})
	}
}

func TestHostResolversLookOnceASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.1"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &conf{path: path}
	now := time.Now()
	first := c.resolvers(now)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if later := c.resolvers(now.Add(time.Second - 1)); !slices.Equal(later, first) || len(first) != 1 {
		t.Errorf("%v, then %v", first, later)
	}
	if later := c.resolvers(now.Add(time.Second)); later != nil {
		t.Errorf("%v after a second", later)
	}
}

// The whole: a server follows the host's resolv.conf.
func TestServerFollowsHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	u := one(t, rcodeSuccess, a4(30, "192.0.2.1"))
	s := New(Config{Upstreams: HostResolvers(path)})
	q := query4(7, "example.org", typeA, 0)
	expect(t, q, ask(t, s, "udp", q), rcodeServerFailure)
	if err := os.WriteFile(path, []byte("nameserver "+u.addr.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { a := ask(t, s, "udp", q); return a[3]&0xf == rcodeSuccess })
	if list := HostResolvers(path)(); !slices.Equal(list, []netip.AddrPort{u.addr}) {
		t.Errorf("resolvers: %v", list)
	}
}
