package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tool finds a program that an ordinary user may not have in the PATH.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if path := filepath.Join("/usr/sbin", name); exec.Command(path, "--version").Run() == nil {
		return path
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// dnsmasq is a resolver that others wrote.
func dnsmasq(t *testing.T) *upstream {
	t.Helper()
	program := tool(t, "dnsmasq")
	conf := []string{"keep-in-foreground", "no-resolv", "no-hosts", "bind-interfaces", "listen-address=127.0.0.1", "pid-file=",
		"local-ttl=77", "edns-packet-max=60000", "host-record=peer.example,192.0.2.1,2001:db8::1", "local=/example/"}
	for i := range 30 {
		conf = append(conf, fmt.Sprintf("txt-record=long.example,%d-%s", i, strings.Repeat("y", 200)))
	}
	u := nobody(t)
	conf = append(conf, fmt.Sprint("port=", u.addr.Port()))
	if os.Geteuid() == 0 {
		conf = append(conf, "user=root")
	}
	file := filepath.Join(t.TempDir(), "dnsmasq.conf")
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	c := exec.Command(program, "--conf-file="+file)
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("dnsmasq: %s", said.String())
		}
	})
	waitFor(t, func() bool {
		conn, err := net.Dial("tcp", u.addr.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return u
}

// dig asks a server as BIND's client does: with EDNS, a cookie, and all its checks.
func TestDig(t *testing.T) {
	program := tool(t, "dig")
	s := relay(dnsmasq(t))
	s.Names = hosts()
	host, port, _ := net.SplitHostPort(front(t, s))
	for _, c := range []struct {
		args string
		want []string
		not  string
	}{
		{"peer.example A", []string{"status: NOERROR", "192.0.2.1"}, "WARNING"},
		{"peer.example AAAA +noedns", []string{"status: NOERROR", "2001:db8::1"}, "EDNS:"},
		{"peer.example A +tcp +nocookie", []string{"status: NOERROR", "192.0.2.1", "(TCP)"}, "WARNING"},
		{"nothing.example A", []string{"status: NXDOMAIN"}, "WARNING"},
		{"long.example TXT", []string{"status: NOERROR", "29-yyy", "retrying in TCP mode", "(TCP)"}, "WARNING"},
		{"long.example TXT +ignore +noedns", []string{"qr aa tc", "29-yyy"}, "20-yyy"},
		{"long.example TXT +notcp +bufsize=8000", []string{"29-yyy", "(UDP)"}, " tc "},
		{"db A", []string{"status: NOERROR", "10.89.0.2"}, "WARNING"},
		{"db MX", []string{"status: NOERROR", "ANSWER: 0"}, "WARNING"},
		{"-x 10.89.0.2", []string{"status: NOERROR", "PTR db."}, "WARNING"},
		{"-x fd00:89::2", []string{"status: NOERROR", "PTR db."}, "WARNING"},
		{"peer.example A +opcode=NOTIFY", []string{"status: NOTIMP"}, ""},
	} {
		args := append([]string{"@" + host, "-p", port, "+tries=1", "+time=20"}, strings.Fields(c.args)...)
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			t.Errorf("dig %s: %v\n%s", c.args, err, out)
		}
		said := strings.Join(strings.Fields(string(out)), " ")
		for _, w := range c.want {
			if !strings.Contains(said, w) {
				t.Errorf("dig %s does not say %q: %.900s", c.args, w, said)
			}
		}
		if c.not != "" && strings.Contains(said, c.not) {
			t.Errorf("dig %s says %q: %.900s", c.args, c.not, said)
		}
	}
}

// Go's resolver is a program's: it asks A and AAAA side by side and retries by TCP.
func TestGoResolver(t *testing.T) {
	s := relay(dnsmasq(t))
	s.Names = hosts()
	at := front(t, s)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}}
	for name, want := range map[string][]string{
		"peer.example.": {"192.0.2.1", "2001:db8::1"},
		"db.":           {"10.89.0.2", "fd00:89::2"},
	} {
		addrs, err := r.LookupNetIP(context.Background(), "ip", name)
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, a := range addrs {
			got = append(got, a.Unmap().String())
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if texts, err := r.LookupTXT(context.Background(), "long.example."); err != nil || len(texts) != 30 {
		t.Errorf("%d texts of 30, %v", len(texts), err)
	}
	if names, err := r.LookupAddr(context.Background(), "10.89.0.2"); err != nil || !slices.Equal(names, []string{"db."}) {
		t.Errorf("10.89.0.2 is %q, %v", names, err)
	}
	var none *net.DNSError
	if _, err := r.LookupNetIP(context.Background(), "ip", "nothing.example."); err == nil {
		t.Error("a name that does not exist has an address")
	} else if none, _ = err.(*net.DNSError); none == nil || !none.IsNotFound {
		t.Errorf("not the error of a name that does not exist: %v", err)
	}
	s = New(Config{Upstreams: func() []netip.AddrPort { return nil }})
	at = front(t, s)
	if _, err := r.LookupNetIP(context.Background(), "ip", "peer.example."); err == nil {
		t.Error("found without a resolver")
	}
}
