package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// This test binary once more is a container that has a lease until it is killed.
const holderVariable = "RL_TEST_LEASE"

func TestMain(m *testing.M) {
	if root := os.Getenv(holderVariable); root != "" {
		s := &Store{root, filepath.Join(root, "runtime")}
		l, err := s.Lease(os.Args[1], Want{}, strings.Repeat("c", 64), "holder")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(l.IP)
		io.Copy(io.Discard, os.Stdin) // not select: the runtime ends a program in which nothing can happen
		l.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newStore(t *testing.T) *Store {
	root := t.TempDir()
	return &Store{root, filepath.Join(root, "runtime")}
}

func (s *Store) make(t *testing.T, spec Spec) *Network {
	t.Helper()
	n, err := s.Create(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	var f *fault.Error
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || !errors.As(err, &f) {
		t.Errorf("%v, want one line with %q", err, want)
	}
}

func TestCreate(t *testing.T) {
	s := newStore(t)
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("an empty store: %v, %v", list, err)
	}
	a := s.make(t, Spec{Name: "a", Labels: map[string]string{"k": "v"}, Options: map[string]string{"mtu": "1400"}})
	if a.Subnet != netip.MustParsePrefix("10.89.0.0/24") || a.Gateway != netip.MustParseAddr("10.89.0.1") || a.MTU != 1400 || a.Subnet6.IsValid() {
		t.Errorf("a: %+v", a)
	}
	b := s.make(t, Spec{Name: "b", IPv6: true, Internal: true})
	if b.Subnet != netip.MustParsePrefix("10.89.1.0/24") || b.Subnet6.Bits() != 64 || !b.Subnet6.Addr().IsPrivate() || b.Gateway6 != b.Subnet6.Addr().Next() {
		t.Errorf("b: %+v", b)
	}
	c := s.make(t, Spec{Name: "c", Subnets: prefixes("192.168.7.0/24", "fd01::/64"), Gateways: []netip.Addr{netip.MustParseAddr("192.168.7.254")}})
	if c.Gateway.String() != "192.168.7.254" || c.Gateway6.String() != "fd01::1" {
		t.Errorf("c: %+v", c)
	}
	list, err := s.List()
	if err != nil || len(list) != 3 || fmt.Sprint(*list[0], *list[1], *list[2]) != fmt.Sprint(*a, *b, *c) {
		t.Errorf("read back: %v, %v", list, err)
	}
	for _, text := range []string{"b", b.ID, b.ID[:12]} {
		if got, err := s.Get(text); err != nil || got.ID != b.ID {
			t.Errorf("get %s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "../a", "", ".", "..", "a/", "feedfeed"} {
		_, err := s.Get(text)
		if refused(t, err, "not found"); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v", text, err)
		}
	}
	_, err = s.Get("host")
	refused(t, err, "built in")
}

func TestCreateRefuses(t *testing.T) {
	s := newStore(t)
	s.make(t, Spec{Name: "there", Subnets: prefixes("10.1.0.0/16", "fd01::/64")})
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for want, spec := range map[string]Spec{
		"already exists":                       {Name: "there"},
		"reserved":                             {Name: "host"},
		`bad network name ""`:                  {},
		`bad network name "../x"`:              {Name: "../x"},
		`bad network name ".x"`:                {Name: ".x"},
		`bad network name "a b"`:               {Name: "a b"},
		"overlaps with network there":          {Name: "n", Subnets: prefixes("10.1.5.0/24")},
		"fd01::/48 overlaps":                   {Name: "n", Subnets: prefixes("fd01::/48")},
		"bits beyond":                          {Name: "n", Subnets: prefixes("10.2.0.1/24")},
		"a length of 8 to 30":                  {Name: "n", Subnets: prefixes("10.2.0.0/31")},
		"a length of 8 to 124":                 {Name: "n", Subnets: prefixes("fd02::/126")},
		"cannot be a container's":              {Name: "n", Subnets: prefixes("127.0.0.0/24")},
		"bad subnet 224.0.0.0/24":              {Name: "n", Subnets: prefixes("224.0.0.0/24")},
		"bad subnet fe80::/64":                 {Name: "n", Subnets: prefixes("fe80::/64")},
		"bad subnet 0.0.0.0/8":                 {Name: "n", Subnets: prefixes("0.0.0.0/8")},
		"same family":                          {Name: "n", Subnets: prefixes("10.2.0.0/24", "10.3.0.0/24")},
		"fewer addresses":                      {Name: "n", Subnets: prefixes("10.2.0.0/16", "fd02::/120")},
		"bad gateway 10.9.0.1: it is not":      {Name: "n", Subnets: prefixes("10.2.0.0/24"), Gateways: addrs("10.9.0.1")},
		"bad gateway 10.2.0.255":               {Name: "n", Subnets: prefixes("10.2.0.0/24"), Gateways: addrs("10.2.0.255")},
		"bad gateway 10.2.0.1: no subnet":      {Name: "n", Gateways: addrs("10.2.0.1")},
		"bad gateway 10.2.0.2: 10.2.0.1 is":    {Name: "n", Subnets: prefixes("10.2.0.0/24"), Gateways: addrs("10.2.0.1", "10.2.0.2")},
		"bad ip range 10.3.0.0/25":             {Name: "n", Subnets: prefixes("10.2.0.0/24"), Ranges: prefixes("10.3.0.0/25")},
		"bad ip range 10.2.0.0/16":             {Name: "n", Subnets: prefixes("10.2.0.0/24"), Ranges: prefixes("10.2.0.0/16")},
		`bad mtu "lots"`:                       {Name: "n", Options: map[string]string{"mtu": "lots"}},
		`bad com.docker.network.driver.mtu "9`: {Name: "n", Options: map[string]string{"com.docker.network.driver.mtu": "999"}, IPv6: true},
	} {
		_, err := s.Create(spec, nil)
		refused(t, err, want)
	}
	if list, _ := s.List(); len(list) != 1 {
		t.Errorf("what was refused is there: %v", list)
	}
}

func TestFreeSubnet(t *testing.T) {
	for _, c := range []struct {
		taken []netip.Prefix
		want  string
	}{
		{nil, "10.89.0.0/24"},
		{prefixes("10.89.0.0/24", "10.89.2.0/24"), "10.89.1.0/24"},
		{prefixes("10.89.0.128/25", "10.89.1.7/32", "fd00::/8"), "10.89.2.0/24"},
		{prefixes("10.89.0.0/16"), "10.90.0.0/24"},
		{prefixes("10.0.0.0/8"), "172.20.0.0/24"},
		{prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/23"), "192.168.2.0/24"},
		{prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "invalid Prefix"},
		{prefixes("0.0.0.0/0"), "invalid Prefix"},
	} {
		if got := free(c.taken); got.String() != c.want {
			t.Errorf("beside %v: %v, want %v", c.taken, got, c.want)
		}
	}
}

func TestHostRoutes(t *testing.T) {
	// Of a machine with a VPN, little endian as on amd64 and arm64.
	const text = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100A8C0	0003	0	0	100	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
tun0	0000590A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	0000A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
broken line
eth0	0100A8C0	00000000	0005	0	0	0	FFFFFFFF	0	0	0
`
	got, err := parseRoutes(strings.NewReader(text))
	if err != nil || fmt.Sprint(got) != "[10.89.0.0/16 192.168.0.0/24 192.168.0.1/32]" {
		t.Errorf("%v, %v", got, err)
	}
	s := newStore(t)
	if n, err := s.Create(Spec{Name: "n"}, got); err != nil || n.Subnet.String() != "10.90.0.0/24" {
		t.Errorf("a subnet beside the host's routes: %+v, %v", n, err)
	}
	if _, err := HostRoutes(); err != nil {
		t.Error(err)
	}
}

// Whoever makes networks at the same time gets different subnets, and one name once.
func TestConcurrentCreate(t *testing.T) {
	s := newStore(t)
	var all sync.WaitGroup
	errs := make(chan error, 20)
	for i := range 20 {
		all.Go(func() {
			_, err := s.Create(Spec{Name: fmt.Sprint("n", i%10)}, nil)
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if err != nil {
			failed++
			refused(t, err, "already exists")
		}
	}
	list, err := s.List()
	if err != nil || len(list) != 10 || failed != 10 {
		t.Fatalf("%d networks, %d refused, %v", len(list), failed, err)
	}
	seen := map[netip.Prefix]bool{}
	for _, n := range list {
		seen[n.Subnet] = true
	}
	if len(seen) != 10 {
		t.Errorf("subnets: %v", seen)
	}
}

func TestLease(t *testing.T) {
	s := newStore(t)
	_, err := s.Lease("n", Want{}, "x", "x")
	refused(t, err, "network n not found")
	n := s.make(t, Spec{Name: "n", Subnets: prefixes("10.7.0.0/29", "fd07::/64"), Gateways: []netip.Addr{netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("fd07::2")}})
	lease := func(w Want, name string) *Lease {
		t.Helper()
		l, err := s.Lease("n", w, strings.Repeat("f", 64), name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	a, b := lease(Want{}, "a"), lease(Want{}, "b")
	if a.IP.String() != "10.7.0.1" || b.IP.String() != "10.7.0.3" || b.IP6.String() != "fd07::3" || b.MAC != [6]byte{2, 0x42, 10, 7, 0, 3} || len(b.Files) != 2 {
		t.Errorf("leases %+v %+v", a, b)
	}
	if st, err := os.Stat(b.Dir); err != nil || st.Mode().Perm() != 0o700 || b.Dir != s.SocketDir(n) {
		t.Errorf("the members' directory %s: %v, %v", b.Dir, st, err)
	}
	c := lease(Want{IP: netip.MustParseAddr("10.7.0.5"), IP6: netip.MustParseAddr("fd07::4"), MAC: [6]byte{2, 1}}, "c")
	d := lease(Want{}, "d") // 10.7.0.4 is free, but c has the address that goes with it
	if c.IP6.String() != "fd07::4" || d.IP.String() != "10.7.0.6" {
		t.Errorf("leases %+v %+v", c, d)
	}
	members, err := s.Members(n)
	if want := []Holder{a.Holder, b.Holder, c.Holder, d.Holder}; err != nil || !slices.Equal(members, want) {
		t.Errorf("members %+v, %v, want %+v", members, err, want)
	}
	for _, c := range []struct {
		want Want
		text string
	}{
		{Want{}, "no free address in 10.7.0.0/29"},
		{Want{IP: a.IP}, "in use by container a"},
		{Want{IP6: c.IP6}, "in use by container c"},
		{Want{IP: n.Gateway}, "is the gateway"},
		{Want{IP: netip.MustParseAddr("10.8.0.1")}, "no address that network n has to give"},
		{Want{IP: netip.MustParseAddr("10.7.0.7")}, "no address that"},
		{Want{IP6: netip.MustParseAddr("10.7.0.3")}, "no address that"},
		{Want{MAC: c.MAC}, "in use by container c"},
		{Want{MAC: [6]byte{1}}, "multicast"},
	} {
		_, err := s.Lease("n", c.want, "x", "x")
		refused(t, err, c.text)
	}
	b.Close()
	if again := lease(Want{}, "e"); again.IP != b.IP {
		t.Errorf("a lease that was given back: %+v", again)
	}
	s.make(t, Spec{Name: "ranged", Subnets: prefixes("10.6.0.0/24"), Ranges: prefixes("10.6.0.128/25")})
	if l, err := s.Lease("ranged", Want{}, "x", "x"); err != nil || l.IP.String() != "10.6.0.128" {
		t.Errorf("%+v, %v", l, err)
	} else if l.IP6.IsValid() || len(l.Files) != 1 {
		t.Errorf("without IPv6: %+v", l)
	}
	_, err = s.Lease("ranged", Want{IP6: netip.MustParseAddr("fd00::7")}, "x", "x")
	refused(t, err, "has no IPv6")
}

// Containers that start at the same time get different addresses, while others look
// who is there.
func TestConcurrentLeases(t *testing.T) {
	s := newStore(t)
	n := s.make(t, Spec{Name: "n"})
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		seen = map[netip.Addr]int{}
		held []*Lease
	)
	for range 4 {
		all.Go(func() {
			for range 30 {
				if _, err := s.Members(n); err != nil {
					t.Error(err)
				}
				l, err := s.Lease("n", Want{}, "id", "name")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[l.IP]++
				held = append(held, l)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for a, n := range seen {
		if n != 1 || a == netip.MustParseAddr("10.89.0.1") {
			t.Errorf("%s was given %d times", a, n)
		}
	}
	if members, err := s.Members(n); err != nil || len(members) != 120 || len(seen) != 120 {
		t.Errorf("%d members, %d addresses, %v", len(members), len(seen), err)
	}
	for _, l := range held {
		l.Close()
	}
}

// A lease ends with the process that has it, and until then its network stays.
func TestRemove(t *testing.T) {
	s := newStore(t)
	n := s.make(t, Spec{Name: "n"})
	s.make(t, Spec{Name: "idle"})
	cmd := exec.Command("/proc/self/exe", "n")
	cmd.Env = append(os.Environ(), holderVariable+"="+s.Root)
	in, err := cmd.StdinPipe() // it ends with us
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "10.89.0.2\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	_, err = s.Remove("n")
	refused(t, err, `network n has active endpoints (name:"holder" id:"cccccccccccc")`)
	if names, err := s.Prune(nil); err != nil || !slices.Equal(names, []string{"idle"}) {
		t.Errorf("pruned %q, %v", names, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if members, err := s.Members(n); err != nil || len(members) != 0 {
		t.Errorf("members after it was killed: %v, %v", members, err)
	}
	if name, err := s.Remove(n.ID[:10]); err != nil || name != "n" {
		t.Errorf("remove: %q, %v", name, err)
	}
	_, err = s.Remove("n")
	refused(t, err, "not found")
	for _, dir := range []string{s.SocketDir(n), s.dir("n")} {
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}

func TestPruneChooses(t *testing.T) {
	s := newStore(t)
	s.make(t, Spec{Name: "a"})
	s.make(t, Spec{Name: "b"})
	names, err := s.Prune(func(n *Network) bool { return n.Name == "b" })
	if err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := s.Prune(func(*Network) bool { return false }); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
}

// A damaged file is an error that says so, hides nothing else, and can be removed. What a
// killed command left is no hindrance.
func TestDamage(t *testing.T) {
	s := newStore(t)
	s.make(t, Spec{Name: "good"})
	for name, text := range map[string]string{"cut": `{"Name": "cut"`, "other": `{"Name": "x"}`, "bare": `{"Name": "bare"}`} {
		if err := os.MkdirAll(s.dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.dir(name, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(name)
		refused(t, err, "is damaged")
	}
	if list, err := s.List(); len(list) != 1 || err == nil {
		t.Errorf("%v, %v", list, err)
	}
	for _, dir := range []string{".new-x/leases", ".old-good/leases"} {
		if err := os.MkdirAll(s.dir(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"cut", "other", "bare", "good"} {
		if got, err := s.Remove(name); err != nil || got != name {
			t.Errorf("remove %s: %q, %v", name, got, err)
		}
	}
	if left, err := os.ReadDir(s.dir()); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A lease's descriptor is not inherited by accident.
func TestLeaseIsCloseOnExec(t *testing.T) {
	s := newStore(t)
	s.make(t, Spec{Name: "n", IPv6: true})
	l, err := s.Lease("n", Want{}, "x", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, f := range l.Files {
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: flags %x, %v", f.Name(), flags, err)
		}
	}
}
