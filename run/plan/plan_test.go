package plan

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/inside/program"
	"rl/run/plan/option"
	"rl/userns/idmap"
)

func facts(t *testing.T) *Facts {
	t.Helper()
	m, err := idmap.Subordinate(1000, 1000, []idmap.Span{{Start: 100000, Size: 65536}}, []idmap.Span{{Start: 100000, Size: 65536}})
	if err != nil {
		t.Fatal(err)
	}
	return &Facts{
		ID: strings.Repeat("ab", 32), Map: m, Network: "none", Hostname: "laptop", FilesDir: "/c/files", Caps: 40,
		Volume: func(name, _ string) (string, string) {
			return cmp.Or(name, "anon"), "/v/" + cmp.Or(name, "anon") + "/_data"
		},
		Resolv: []byte("nameserver 192.0.2.1\nsearch lab\n"), Hosts: []byte("192.0.2.7 printer"),
		IsDir: func(p string) (bool, error) {
			switch {
			case strings.HasPrefix(p, "/missing"):
				return false, fs.ErrNotExist
			case strings.HasSuffix(p, ".txt"), strings.HasPrefix(p, "/dev/"):
				return false, nil
			}
			return true, nil
		},
		Seccomp: func(path string, _ []string) (*specs.LinuxSeccomp, error) {
			return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, ListenerPath: path}, nil
		},
	}
}

func single(t *testing.T, asUID uint32) *Facts {
	t.Helper()
	f := facts(t)
	m, err := idmap.Single(1000, 1000, asUID, asUID)
	if err != nil {
		t.Fatal(err)
	}
	f.Map, f.SingleID = m, true
	return f
}

func mustPlan(t *testing.T, image v1.ImageConfig, f Flags, h *Facts) *Plan {
	t.Helper()
	p, err := New(&image, &f, h)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Docker's table: docs.docker.com/reference/dockerfile, "Understand how CMD and
// ENTRYPOINT interact", and --entrypoint, which takes CMD away.
func TestCommand(t *testing.T) {
	ls := []string{"ls"}
	for _, c := range []struct {
		name           string
		entry, cmd     []string
		flag           *[]string
		args, expected []string
	}{
		{"cmd", nil, []string{"sh"}, nil, nil, []string{"sh"}},
		{"entry and cmd", []string{"e", "x"}, []string{"sh"}, nil, nil, []string{"e", "x", "sh"}},
		{"args replace cmd", []string{"e"}, []string{"sh"}, nil, []string{"-l"}, []string{"e", "-l"}},
		{"--entrypoint drops cmd", []string{"e"}, []string{"sh"}, &ls, nil, []string{"ls"}},
		{"--entrypoint with args", []string{"e"}, []string{"sh"}, &ls, []string{"-l"}, []string{"ls", "-l"}},
		{"--entrypoint empty", []string{"e"}, []string{"sh"}, &[]string{}, []string{"id"}, []string{"id"}},
		{"nothing", nil, nil, nil, nil, nil},
		{"--entrypoint empty and nothing", []string{"e"}, []string{"sh"}, &[]string{}, nil, nil},
	} {
		got, err := command(&v1.ImageConfig{Entrypoint: c.entry, Cmd: c.cmd}, &Flags{Entrypoint: c.flag, Args: c.args})
		if (err != nil) != (c.expected == nil) || !slices.Equal(got, c.expected) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.expected)
		}
	}
}

func TestEnvironment(t *testing.T) {
	image := v1.ImageConfig{Cmd: []string{"sh"}, Env: []string{"A=image", "B=image", "TERM=vt100"}}
	f := Flags{Terminal: true, Env: []option.Env{{Name: "B", Value: "user"}, {Name: "A", Unset: true}, {Name: "E"}}}
	p := mustPlan(t, image, f, facts(t))
	env := p.Spec.Process.Env
	for _, want := range []string{defaultPath, "B=user", "E=", "TERM=vt100", "HOSTNAME=abababababab", "container=rl"} {
		if !slices.Contains(env, want) {
			t.Errorf("%q is missing in %q", want, env)
		}
	}
	for _, kv := range env {
		if strings.HasPrefix(kv, "A=") {
			t.Errorf("%q was to be unset", kv)
		}
	}
}

func TestNamespacesFollowTheModes(t *testing.T) {
	h := facts(t)
	h.Cgroup2 = true
	p := mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, Flags{}, h)
	for _, kind := range []specs.LinuxNamespaceType{specs.UserNamespace, specs.MountNamespace, specs.PIDNamespace,
		specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace, specs.CgroupNamespace} {
		if !p.Private(kind) {
			t.Errorf("no %s namespace by default", kind)
		}
	}
	h.Network, h.Cgroup2 = "host", false
	hostMode := option.Mode{Name: "host"}
	p = mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, Flags{Pid: hostMode, IPC: hostMode, UTS: hostMode}, h)
	if n := len(p.Spec.Linux.Namespaces); n != 2 || p.Spec.Hostname != "" {
		t.Errorf("%d namespaces and host name %q with everything the host's", n, p.Spec.Hostname)
	}
	for _, f := range []Flags{
		{UTS: hostMode, Hostname: "x"},
		{Pid: option.Mode{Name: "container", Arg: "x"}},
		{IPC: hostMode, Sysctls: []option.Sysctl{{Key: "kernel.msgmax", Value: "1", Namespace: "ipc"}}},
		{Sysctls: []option.Sysctl{{Key: "net.ipv4.ip_forward", Value: "1", Namespace: "net"}}},
	} {
		if _, err := New(&v1.ImageConfig{Cmd: []string{"sh"}}, &f, h); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

func TestPrivileges(t *testing.T) {
	image := v1.ImageConfig{Cmd: []string{"sh"}}
	p := mustPlan(t, image, Flags{}, facts(t))
	if n := len(p.Spec.Process.Capabilities.Bounding); n != 14 || p.Spec.Linux.Seccomp == nil || len(p.Spec.Linux.MaskedPaths) == 0 {
		t.Errorf("default: %d capabilities, seccomp %v, masked %q", n, p.Spec.Linux.Seccomp, p.Spec.Linux.MaskedPaths)
	}
	h := facts(t)
	h.Caps = 37 // Linux 5.7: no CAP_PERFMON yet
	p = mustPlan(t, image, Flags{Privileged: true}, h)
	caps := p.Spec.Process.Capabilities.Bounding
	if len(caps) != 38 || slices.Contains(caps, "CAP_PERFMON") || p.Spec.Linux.Seccomp != nil || len(p.Spec.Linux.MaskedPaths)+len(p.Spec.Linux.ReadonlyPaths) != 0 {
		t.Errorf("privileged: %q, seccomp %v, masked %q", caps, p.Spec.Linux.Seccomp, p.Spec.Linux.MaskedPaths)
	}
	p = mustPlan(t, image, Flags{CapDrop: []string{"ALL"}, CapAdd: []string{"CHOWN"}, Security: option.Security{Seccomp: "unconfined", NoNewPrivileges: true}}, facts(t))
	if c := p.Spec.Process.Capabilities.Bounding; !slices.Equal(c, []string{"CAP_CHOWN"}) || p.Spec.Linux.Seccomp != nil || !p.Spec.Process.NoNewPrivileges {
		t.Errorf("dropped: %q, %v", c, p.Spec.Linux.Seccomp)
	}
	if prog := p.Program("/r", func(string) (string, bool) { return "", false }); prog.Caps != 1 || !prog.NoNewPriv {
		t.Errorf("compiled to bounding set %#x", prog.Caps)
	}
}

func TestMounts(t *testing.T) {
	image := v1.ImageConfig{Cmd: []string{"sh"}, Volumes: map[string]struct{}{"/data": {}, "/v": {}, "/": {}}}
	f := Flags{Mounts: []option.Mount{
		{Type: option.Bind, Source: "/host/deep", Target: "/v/deep", ReadOnly: true, Recursive: true},
		{Type: option.Bind, Source: "/host", Target: "/v", Recursive: true, Propagation: "rslave"},
		{Type: option.Bind, Source: "/a.txt", Target: "/etc/hosts", Recursive: true},
		{Type: option.Tmpfs, Target: "/dev/shm", Options: []string{"size=1m"}},
	}}
	p := mustPlan(t, image, f, facts(t))
	at := func(dst string) (m specs.Mount, i int) {
		n := 0
		for j, x := range p.Spec.Mounts {
			if x.Destination == dst {
				m, i, n = x, j, n+1
			}
		}
		if n != 1 {
			t.Errorf("%d mounts on %s", n, dst)
		}
		return m, i
	}
	if m, _ := at("/dev/shm"); !slices.Contains(m.Options, "size=1m") {
		t.Errorf("the user's /dev/shm did not replace ours: %v", m)
	}
	if m, _ := at("/etc/hosts"); m.Source != "/a.txt" {
		t.Errorf("the user's /etc/hosts did not replace ours: %v", m)
	}
	v, i := at("/v")
	deep, j := at("/v/deep")
	if i > j {
		t.Error("a mount is hidden by the one above it")
	}
	if !slices.Contains(v.Options, "rslave") || !slices.Contains(deep.Options, "rprivate") || !slices.Contains(deep.Options, "ro") {
		t.Errorf("options: %v, %v", v.Options, deep.Options)
	}
	if m, _ := at("/data"); m.Source != "/v/anon/_data" || len(p.Mounts) != 4 {
		t.Errorf("the image's volume: %v, %v", m, p.Mounts)
	}
	if m := p.Mounts[len(p.Mounts)-1]; !m.Anonymous || m.Target != "/data" {
		t.Errorf("the image's volume: %+v", m)
	}
	prog := p.Program("/r", func(s string) (string, bool) { return "/real" + s, s == "/a.txt" })
	for _, op := range prog.Ops {
		switch op.Target {
		case "/etc/hosts":
			if op.Source != "/real/a.txt" || op.Opts&program.OptNoLinks == 0 {
				t.Errorf("links may lead on: %+v", op)
			}
			if op.Opts&program.OptIsFile == 0 {
				t.Error("a file is bound as a directory")
			}
		case "/v/deep":
			if op.Flags&1 == 0 || op.Opts&program.OptRecursiveRO == 0 {
				t.Errorf("read-only was lost: %+v", op)
			}
		}
	}
}

func TestMountFaults(t *testing.T) {
	for _, f := range []Flags{
		{Mounts: []option.Mount{{Type: option.Bind, Source: "/missing", Target: "/x"}}},
		{Mounts: []option.Mount{{Type: option.Tmpfs, Target: "/x"}, {Type: option.Tmpfs, Target: "/x"}}},
		{Devices: []option.Device{{Host: "/missing", Container: "/dev/x"}}},
		{Workdir: "relative"},
		{Umask: "9"},
		{StopSignal: "SIGNOTHING"},
		{CapAdd: []string{"NOTHING"}},
	} {
		_, err := New(&v1.ImageConfig{Cmd: []string{"sh"}}, &f, facts(t))
		if err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
	_, err := New(&v1.ImageConfig{Cmd: []string{"sh"}}, &Flags{Mounts: []option.Mount{{Type: option.Bind, Source: "/missing", Target: "/x"}}}, facts(t))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/missing") {
		t.Errorf("a missing source: %v", err)
	}
}

// With one id there is no group 5 for devpts, no other groups, and root is only
// played when the one id is called 0.
func TestSingleID(t *testing.T) {
	image := v1.ImageConfig{Cmd: []string{"sh"}}
	p := mustPlan(t, image, Flags{Groups: []string{"video"}}, single(t, 0))
	if !p.FakeRoot || len(p.Groups) != 0 || len(p.Notices) != 1 {
		t.Errorf("as root: fake %v, groups %q, notices %q", p.FakeRoot, p.Groups, p.Notices)
	}
	for _, m := range p.Spec.Mounts {
		if m.Destination == "/dev/pts" && slices.Contains(m.Options, "gid=5") {
			t.Error("devpts is mounted with a group that is not mapped")
		}
	}
	if p = mustPlan(t, image, Flags{UserText: "7"}, single(t, 7)); p.FakeRoot {
		t.Error("root is played for an ordinary user")
	}
}

func TestKeepIDMakesTheWorkloadTheCaller(t *testing.T) {
	h := facts(t)
	m, err := idmap.KeepID(1000, 1001, 1000, 1001, []idmap.Span{{Start: 100000, Size: 65536}}, []idmap.Span{{Start: 100000, Size: 65536}})
	if err != nil {
		t.Fatal(err)
	}
	h.Map = m
	keep := option.Userns{Mode: option.KeepID, UID: -1, GID: -1}
	if p := mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, Flags{Userns: keep}, h); p.User != "1000:1001" {
		t.Errorf("the user is %q", p.User)
	}
	if p := mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, Flags{Userns: keep, UserText: "0"}, h); p.User != "0" {
		t.Errorf("--user was overruled by %q", p.User)
	}
}

func TestResolvAndHosts(t *testing.T) {
	h := facts(t)
	f := Flags{DNS: []string{"192.0.2.53"}, Search: []string{"."}, DNSOpts: []string{"ndots:1"},
		AddHosts: []option.AddHost{{Name: "db", IP: "192.0.2.9"}, {Name: "gw", IP: option.HostGateway}}}
	if got, want := resolv(&f, h), "nameserver 192.0.2.53\noptions ndots:1\n"; got != want {
		t.Errorf("resolv.conf %q, want %q", got, want)
	}
	if got := resolv(&Flags{}, h); got != string(h.Resolv) {
		t.Errorf("the host's resolv.conf became %q", got)
	}
	got := hosts("box", &f, h)
	if strings.Contains(got, "printer") || !strings.Contains(got, "192.0.2.9\tdb\n") || !strings.Contains(got, "\tbox\n") {
		t.Errorf("hosts without the host's network: %q", got)
	}
	h.Network = "host"
	if got := hosts("", &f, h); !strings.HasPrefix(got, "192.0.2.7 printer\n") || !strings.Contains(got, "127.0.0.1\tgw\n") {
		t.Errorf("hosts with the host's network: %q", got)
	}
}
