package option_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"rl/run/plan/option"
)

func TestParseAddHost(t *testing.T) {
	table(t, option.ParseAddHost, []row[option.AddHost]{
		{in: "db:10.0.0.5", want: option.AddHost{Name: "db", IP: "10.0.0.5"}},
		{in: "db=10.0.0.5", want: option.AddHost{Name: "db", IP: "10.0.0.5"}},
		{in: "db:::1", want: option.AddHost{Name: "db", IP: "::1"}},
		{in: "db=::1", want: option.AddHost{Name: "db", IP: "::1"}},
		{in: "db:[2001:db8::1]", want: option.AddHost{Name: "db", IP: "2001:db8::1"}},
		{in: "db=[10.0.0.5]", want: option.AddHost{Name: "db", IP: "10.0.0.5"}},
		{in: "my_db.example.com:0:0:0:0:0:0:0:1", want: option.AddHost{Name: "my_db.example.com", IP: "0:0:0:0:0:0:0:1"}},
		{in: "host.docker.internal:host-gateway", want: option.AddHost{Name: "host.docker.internal", IP: option.HostGateway}},

		{in: "", err: "no name and address", hint: "db:10.0.0.5"},
		{in: "db", err: "no name and address"},
		{in: ":10.0.0.5", err: "no name and address"},
		{in: "db:", err: `"" is not an IP address`},
		{in: "db:[]", err: "is not an IP address"},
		{in: "db:10.0.0", err: "is not an IP address"},
		{in: "db:10.0.0.256", err: "is not an IP address"},
		{in: "db:fe80::1%eth0", err: "is not an IP address"},
		{in: "d b:10.0.0.5", err: "is not a name for a host"},
		{in: "db\n1.2.3.4 google.com:10.0.0.5", err: "is not a name for a host"},
		{in: "a:b=10.0.0.5", err: "is not a name for a host"},
		{in: "#db:10.0.0.5", err: "is not a name for a host"},
	})
}

func TestParseDNS(t *testing.T) {
	table(t, option.ParseDNS, []row[string]{
		{in: "1.1.1.1", want: "1.1.1.1"},
		{in: " 0:0:0:0:0:0:0:1 ", want: "::1"},
		{in: "fe80::1%eth0", want: "fe80::1%eth0"},
		{in: "dns.example.com", err: "not an IP address", hint: "1.1.1.1"},
		{in: "", err: "not an IP address"},
		{in: "fe80::1%a\nsearch x", err: "not an IP address"},
	})
	table(t, option.ParseDNSSearch, []row[string]{
		{in: "example.com", want: "example.com"},
		{in: "example.com.", want: "example.com"},
		{in: ".", want: "."},
		{in: "", err: "empty"},
		{in: "a b", err: "cannot have"},
		{in: strings.Repeat("a.", 200) + "a", err: "too long"},
	})
}

func TestParseHostname(t *testing.T) {
	table(t, option.ParseHostname, []row[string]{
		{in: "web", want: "web"},
		{in: "Web-1.example_x.com", want: "Web-1.example_x.com"},
		{in: strings.Repeat("a", 64), want: strings.Repeat("a", 64)},
		{in: strings.Repeat("a", 65), err: "too long", hint: "at most 64"},
		{in: "", err: "empty"},
		{in: "a..b", err: "empty"},
		{in: ".a", err: "empty"},
		{in: "-a", err: "a - at the beginning or end"},
		{in: "a-.b", err: "a - at the beginning or end"},
		{in: "a b", err: `cannot have " "`},
		{in: "a/b", err: `cannot have "/"`},
		{in: "é", err: "cannot have"},
		{in: "a\n", err: "cannot have"},
	})
}

func TestParseSysctl(t *testing.T) {
	table(t, option.ParseSysctl, []row[option.Sysctl]{
		{in: "net.ipv4.ip_forward=1", want: option.Sysctl{Key: "net.ipv4.ip_forward", Value: "1", Path: "net/ipv4/ip_forward", Namespace: "net"}},
		{in: "net/ipv4/ip_forward=1", want: option.Sysctl{Key: "net.ipv4.ip_forward", Value: "1", Path: "net/ipv4/ip_forward", Namespace: "net"}},
		{
			in:   "net/ipv4/conf/eth0.1/forwarding=1",
			want: option.Sysctl{Key: "net.ipv4.conf.eth0/1.forwarding", Value: "1", Path: "net/ipv4/conf/eth0.1/forwarding", Namespace: "net"},
		},
		{
			in:   "net.ipv4.conf.eth0/1.forwarding=1",
			want: option.Sysctl{Key: "net.ipv4.conf.eth0/1.forwarding", Value: "1", Path: "net/ipv4/conf/eth0.1/forwarding", Namespace: "net"},
		},
		{in: "net.ipv4.ping_group_range=0 1", want: option.Sysctl{Key: "net.ipv4.ping_group_range", Value: "0 1", Path: "net/ipv4/ping_group_range", Namespace: "net"}},
		{in: "kernel.shmmax = 5", want: option.Sysctl{Key: "kernel.shmmax", Value: "5", Path: "kernel/shmmax", Namespace: "ipc"}},
		{in: "kernel.sem=1=2", want: option.Sysctl{Key: "kernel.sem", Value: "1=2", Path: "kernel/sem", Namespace: "ipc"}},
		{in: "fs.mqueue.msg_max=10", want: option.Sysctl{Key: "fs.mqueue.msg_max", Value: "10", Path: "fs/mqueue/msg_max", Namespace: "ipc"}},
		{in: "kernel.domainname=x", want: option.Sysctl{Key: "kernel.domainname", Value: "x", Path: "kernel/domainname", Namespace: "uts"}},
		{in: "net.core.somaxconn=", want: option.Sysctl{Key: "net.core.somaxconn", Path: "net/core/somaxconn", Namespace: "net"}},

		{in: "", err: "no key and value", hint: "KEY=VALUE"},
		{in: "net.ipv4.ip_forward", err: "no key and value"},
		{in: "=1", err: "no key and value"},
		{in: "kernel.hostname=x", err: "host name", hint: "--hostname"},
		{in: "vm.swappiness=1", err: "belongs to the whole machine", hint: "kernel.sem"},
		{in: "kernel.panic=1", err: "belongs to the whole machine"},
		{in: "fs.mqueue=1", err: "belongs to the whole machine"},
		{in: "netfoo.x=1", err: "belongs to the whole machine"},
		{in: "net=1", err: "is not a key"},
		{in: "net.=1", err: "is not a key"},
		{in: "net...kernel.panic=1", err: "is not a key"},
		{in: "net/../kernel/panic=1", err: "is not a key"},
		{in: "net.//.kernel.panic=1", err: "is not a key"},
		{in: "net.ipv4 x=1", err: "is not a key"},
		{in: "net.ipv4.x=1\x00", err: "NUL"},
	})
	c, err := option.ParseSysctl("kernel.domainname=x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(func(ns string) bool { return ns == "uts" }); err != nil {
		t.Error(err)
	}
	checkError(t, c.Key, c.Check(func(ns string) bool { return ns != "uts" }), "needs a private uts namespace", "--uts=host")
}

func TestCapabilities(t *testing.T) {
	table(t, option.ParseCap, []row[string]{
		{in: "CAP_NET_ADMIN", want: "CAP_NET_ADMIN"},
		{in: "net_admin", want: "CAP_NET_ADMIN"},
		{in: "cap_Net_Admin", want: "CAP_NET_ADMIN"},
		{in: "all", want: "ALL"},
		{in: "CAP_ALL", err: "none of that name", hint: `"ALL"`},
		{in: "NET_ADMN", err: "none of that name", hint: `did you mean "NET_ADMIN"?`},
		{in: "SYSADMIN", err: "none of that name", hint: `"SYS_ADMIN"`},
		{in: "", err: "none of that name", hint: "capabilities(7)"},
		{in: "CAP_", err: "none of that name"},
		{in: "40", err: "none of that name"},
	})
	// From linux/capability.h.
	for name, number := range map[string]int{
		"CHOWN": 0, "FSETID": 4, "SETPCAP": 8, "NET_ADMIN": 12, "SYS_MODULE": 16, "SYS_ADMIN": 21, "MKNOD": 27, "SETFCAP": 31,
		"SYSLOG": 34, "AUDIT_READ": 37, "BPF": 39, "CHECKPOINT_RESTORE": 40,
	} {
		if n, ok := option.CapNumber(name); n != number || !ok {
			t.Errorf("%s is %d, %v", name, n, ok)
		}
		if n := option.CapName(number); n != "CAP_"+name {
			t.Errorf("%d is %s", number, n)
		}
	}
	if option.CapName(41) != "" || option.CapName(-1) != "" || len(option.AllCaps()) != 41 {
		t.Error("there are 41 capabilities")
	}
	if _, ok := option.CapNumber("ALL"); ok {
		t.Error("ALL has no number")
	}
}

func TestEffective(t *testing.T) {
	docker := strings.Fields("CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_MKNOD CAP_NET_BIND_SERVICE" +
		" CAP_NET_RAW CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_CHROOT")
	but := func(caps []string, names ...string) []string {
		return slices.DeleteFunc(slices.Clone(caps), func(c string) bool { return slices.Contains(names, c) })
	}
	and := func(caps []string, names ...string) []string {
		caps = append(slices.Clone(caps), names...)
		slices.Sort(caps)
		return caps
	}
	all := option.AllCaps()
	for _, c := range []struct {
		add, drop  string
		privileged bool
		want       []string
	}{
		{want: docker},
		{add: "NET_ADMIN", want: and(docker, "CAP_NET_ADMIN")},
		{add: "CHOWN chown", want: docker},
		{drop: "mknod NET_RAW", want: but(docker, "CAP_MKNOD", "CAP_NET_RAW")},
		{add: "CHOWN", drop: "CHOWN", want: docker}, // added again
		{drop: "ALL", want: nil},
		{add: "CHOWN", drop: "ALL", want: []string{"CAP_CHOWN"}},
		{add: "KILL CHOWN", drop: "ALL CHOWN", want: []string{"CAP_CHOWN", "CAP_KILL"}},
		{add: "ALL", want: all},
		{add: "ALL", drop: "SYS_ADMIN", want: but(all, "CAP_SYS_ADMIN")},
		{add: "ALL", drop: "ALL", want: all},
		{privileged: true, want: all},
		{drop: "ALL", privileged: true, want: all},
	} {
		got, err := option.Effective(strings.Fields(c.add), strings.Fields(c.drop), c.privileged)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("add %q drop %q: %v, %v\nwant %v", c.add, c.drop, got, err, c.want)
		}
	}
	if !reflect.DeepEqual(option.DefaultCaps(), docker) {
		t.Error("the default ones are not docker's")
	}
	_, err := option.Effective([]string{"NOPE_AT_ALL"}, nil, true)
	checkError(t, "NOPE_AT_ALL", err, `capability "NOPE_AT_ALL"`, "capabilities(7)")
	_, err = option.Effective(nil, []string{"CHWON"}, false)
	checkError(t, "CHWON", err, `capability "CHWON"`, "CHOWN")
}

// unnoticed is without the notices, which repeat how an option was written.
func unnoticed(s option.Security) option.Security {
	s.Notices = nil
	return s
}

func TestParseSecurity(t *testing.T) {
	parse := func(s string) (option.Security, error) {
		if s == "" {
			return option.ParseSecurity(nil)
		}
		sec, err := option.ParseSecurity(strings.Split(s, " "))
		if again, err2 := option.ParseSecurity(sec.Options()); err == nil && (err2 != nil || !reflect.DeepEqual(unnoticed(again), unnoticed(sec))) {
			t.Errorf("%s: %q gives %+v, not %+v, %v", s, sec.Options(), again, sec, err2)
		}
		return sec, err
	}
	table(t, parse, []row[option.Security]{
		{in: "", want: option.Security{}},
		{in: "seccomp=unconfined", want: option.Security{Seccomp: option.SeccompUnconfined}},
		{in: "seccomp:unconfined", want: option.Security{Seccomp: option.SeccompUnconfined}},
		{in: "seccomp=builtin", want: option.Security{}},
		{in: "seccomp=./a=b:c.json", want: option.Security{Seccomp: "./a=b:c.json"}},
		{in: "seccomp=unconfined seccomp=/p.json", want: option.Security{Seccomp: "/p.json"}},
		{in: "no-new-privileges", want: option.Security{NoNewPrivileges: true}},
		{in: "no-new-privileges:true", want: option.Security{NoNewPrivileges: true}},
		{in: "no-new-privileges=true no-new-privileges=false", want: option.Security{}},
		{in: "apparmor=unconfined", want: option.Security{AppArmor: "unconfined"}},
		{in: "label=disable", want: option.Security{}},
		{in: "label:type:x_t", want: option.Security{
			Label:   []string{"type:x_t"},
			Notices: []string{`security option "label:type:x_t" has no effect: rl does not set SELinux labels`},
		}},
		{in: "apparmor=p", want: option.Security{
			AppArmor: "p",
			Notices:  []string{`security option "apparmor=p" has no effect: rl cannot load or apply AppArmor profiles without root`},
		}},
		{in: "mask=/a:/b mask=/c", want: option.Security{Mask: []string{"/a", "/b", "/c"}}},
		{in: "unmask=/proc/*:/sys", want: option.Security{Unmask: []string{"/proc/*", "/sys"}}},
		{in: "unmask=ALL", want: option.Security{UnmaskAll: true}},
		{in: "systempaths=unconfined", want: option.Security{UnmaskAll: true}},

		{in: "seccomp", err: "seccomp needs a value", hint: "seccomp=VALUE"},
		{in: "seccomp=", err: "needs a value"},
		{in: "secomp=x", err: "none of that name", hint: `"seccomp"`},
		{in: "bogus", err: "none of that name", hint: "known are"},
		{in: "no-new-privileges=maybe", err: "neither true nor false"},
		{in: "no-new-privileges=", err: "neither true nor false"},
		{in: "systempaths=x", err: "no such value"},
		{in: "mask=a", err: "not an absolute path"},
		{in: "unmask=/a::/b", err: "not an absolute path"},
		{in: "seccomp=a\x00", err: "NUL"},
	})
}
