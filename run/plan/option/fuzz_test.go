package option_test

import (
	"bytes"
	"encoding/csv"
	"path"
	"reflect"
	"strings"
	"testing"

	"rl/run/plan/option"
)

// A mount that was let through has a target that is absolute, clean and not the
// root, and a type with the source that fits.
func soundMount(t *testing.T, m option.Mount) {
	t.Helper()
	if !strings.HasPrefix(m.Target, "/") || path.Clean(m.Target) != m.Target || m.Target == "/" || strings.Contains(m.Target, "\x00") {
		t.Errorf("target %q", m.Target)
	}
	if strings.Contains(m.Source, "\x00") {
		t.Errorf("source %q", m.Source)
	}
	switch m.Type {
	case option.Bind:
		if m.Source == "" || m.NoCopy || strings.HasPrefix(m.Source, "/") && path.Clean(m.Source) != m.Source {
			t.Errorf("bind %+v", m)
		}
	case option.Volume:
		if strings.ContainsAny(m.Source, "/:") || m.Source == "." || m.Source == ".." || m.Propagation != "" || m.Recursive {
			t.Errorf("volume %+v", m)
		}
	case option.Tmpfs:
		if m.Source != "" || m.Recursive {
			t.Errorf("tmpfs %+v", m)
		}
	default:
		t.Errorf("type %q", m.Type)
	}
}

// sameAgain checks that a mount written as --mount reads back as the same.
func sameAgain(t *testing.T, m option.Mount) {
	t.Helper()
	again, err := option.ParseMount(m.String())
	if err != nil {
		t.Fatalf("%q does not read back: %v", m, err)
	}
	m.Notices = nil
	if !reflect.DeepEqual(m, again) {
		t.Errorf("%q reads back as %q", m, again)
	}
}

func FuzzVolume(f *testing.F) {
	for _, s := range []string{"/a:/b:ro,rslave", "data:/b:nocopy", "./x:/b/../c", "/x", "/a:/b:noexec,dev", "~:/", "/a,\"b:/c=d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := option.ParseVolume(s)
		if err != nil {
			oneLine(t, err)
			return
		}
		soundMount(t, m)
		m.Options = nil // --mount has no words for them
		if m.Source == strings.TrimSpace(m.Source) && m.Target == strings.TrimSpace(m.Target) {
			sameAgain(t, m)
		}
	})
}

func FuzzMount(f *testing.F) {
	for _, s := range []string{
		"type=bind,src=/a,dst=/b,ro,bind-propagation=rslave", `type=bind,"src=/a,""b",dst=/b,bind-recursive=writable,ro`,
		"type=tmpfs,dst=/b,tmpfs-size=1g,tmpfs-mode=700", "src=data,dst=/b,volume-nocopy", "type=bind,src=a\nb,dst=/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := option.ParseMount(s)
		if err != nil {
			oneLine(t, err)
		} else {
			soundMount(t, m)
			sameAgain(t, m)
		}
		// Fields are split as docker splits them, where docker's CSV reader
		// knows but one line.
		if strings.ContainsAny(s, "\r\n") || strings.TrimSpace(s) == "" {
			return
		}
		if _, csvErr := csv.NewReader(strings.NewReader(strings.TrimSpace(s))).Read(); csvErr != nil && err == nil {
			t.Errorf("docker refuses %q: %v", s, csvErr)
		}
	})
}

func FuzzTmpfs(f *testing.F) {
	f.Add("/run:size=64m,mode=1777,exec,uid=0")
	f.Add("/run:size=50%,noatime,nosuid,ro")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := option.ParseTmpfs(s)
		if err != nil {
			oneLine(t, err)
			return
		}
		soundMount(t, m)
		seen := map[string]bool{}
		for _, o := range m.Options {
			key, _, _ := strings.Cut(o, "=")
			if seen[key] || strings.ContainsAny(o, ", \x00:") {
				t.Errorf("%q gives the options %q", s, m.Options)
			}
			seen[key] = true
		}
	})
}

// FuzzEnvFile: every variable that comes out can be put into an environment, and
// a file written of them reads back as the same.
func FuzzEnvFile(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfA=1\r\n#x\nHOME\n B= c \n"))
	f.Add([]byte("A =1\n"))
	f.Add([]byte("=\n\x00\n\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		vars, err := option.ParseEnvFile(bytes.NewReader(file), "f", lookup)
		if err != nil {
			oneLine(t, err)
			return
		}
		var again bytes.Buffer
		for _, v := range vars {
			if v.Name == "" || strings.ContainsAny(v.Name, "= \t\n\x00") || strings.ContainsAny(v.Value, "\n\x00") || v.Unset {
				t.Errorf("variable %+v", v)
			}
			again.WriteString(v.Name + "=" + v.Value + "\r\n")
		}
		if got, err := option.ParseEnvFile(&again, "f", nil); err != nil || !reflect.DeepEqual(got, vars) {
			t.Errorf("reads back as %v, %v, was %v", got, err, vars)
		}
	})
}

// FuzzDetachKeys: keys written down read back as the same bytes.
func FuzzDetachKeys(f *testing.F) {
	f.Add("ctrl-p,ctrl-q")
	f.Add(`a,DEL,ctrl-\,ctrl-@`)
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := option.ParseDetachKeys(s)
		if err != nil {
			oneLine(t, err)
			return
		}
		again, err := option.ParseDetachKeys(option.FormatDetachKeys(keys))
		if len(keys) == 0 || err != nil || !bytes.Equal(keys, again) {
			t.Errorf("%q is %v, written %q, which is %v, %v", s, keys, option.FormatDetachKeys(keys), again, err)
		}
	})
}

// FuzzValues: no text makes a parser panic or give an error that is not one
// line, and what is let through is in its range.
func FuzzValues(f *testing.F) {
	for _, s := range []string{
		"nofile=1:2", "/dev/fuse:rw", "db:[::1]", "net/ipv4/x.y=1", "1000:users", "RTMIN+3", "64m", "linux/arm/v7", "keep-id:uid=1", "a.b-c", "CAP_KILL",
		"seccomp:x", "1h2m", "container:x", "-1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check := func(err error, ok bool, what any) {
			t.Helper()
			if err != nil {
				oneLine(t, err)
			} else if !ok {
				t.Errorf("%q is let through as %+v", s, what)
			}
		}
		u, err := option.ParseUlimit(s)
		check(err, u.Soft <= u.Hard && u.Resource >= 0 && u.Resource < 16, u)
		d, err := option.ParseDevice(s)
		check(err, path.IsAbs(d.Host) && path.IsAbs(d.Container) && path.Clean(d.Container) == d.Container, d)
		h, err := option.ParseAddHost(s)
		check(err, !strings.ContainsAny(h.Name+h.IP, " \t\r\n#"), h)
		c, err := option.ParseSysctl(s)
		check(err, "/"+c.Path == path.Clean("/"+c.Path) && (strings.HasPrefix(c.Path, "net/") || strings.HasPrefix(c.Path, "kernel/") ||
			strings.HasPrefix(c.Path, "fs/mqueue/")), c)
		if err == nil {
			again, err := option.ParseSysctl(c.Key + "=" + c.Value)
			check(err, again.Path == c.Path, again)
		}
		user, err := option.ParseUser(s)
		check(err, user.UID >= -1 && user.GID >= -1 && !strings.ContainsAny(user.Name+user.Group, ":/\n"), user)
		sig, err := option.ParseSignal(s)
		check(err, sig >= 1 && sig <= 64, sig)
		size, err := option.ParseSize("size", s)
		check(err, size >= 0, size)
		p, err := option.ParsePlatform(s)
		check(err, p.OS != "" && p.Architecture != "", p)
		if err == nil {
			again, err := option.ParsePlatform(p.String())
			check(err, again == p, again)
		}
		name, err := option.ParseHostname(s)
		check(err, len(name) > 0 && len(name) <= 64 && !strings.ContainsAny(name, " /\n"), name)
		id, err := option.ParseName(s)
		check(err, len(id) > 1 && !strings.ContainsAny(id, "/\n "), id)
		ns, err := option.ParseUserns(s)
		check(err, ns.Mode != "", ns)
		timeout, err := option.ParseStopTimeout(s)
		check(err, timeout >= -1, timeout)
		for _, parse := range []func(string) (option.Mode, error){option.ParsePid, option.ParseIPC, option.ParseUTS} {
			mode, err := parse(s)
			check(err, mode.Name != "", mode)
		}
		env, err := option.ParseEnv(s, lookup)
		check(err, env.Name != "" && !strings.Contains(env.Value, "\x00"), env)
		_, err = option.ParseCap(s)
		check(err, true, nil)
		_, err = option.ParseSecurity([]string{s})
		check(err, true, nil)
		_, err = option.ParseDuration("d", s)
		check(err, true, nil)
		_, err = option.ParseDNS(s)
		check(err, true, nil)
		_, err = option.ParseDNSSearch(s)
		check(err, true, nil)
		_, err = option.ParsePull(s)
		check(err, true, nil)
		_, err = option.ParseLabel(s)
		check(err, true, nil)
	})
}

// FuzzPublish: what is let through has ports in their ranges, and written as -p
// reads back as the same.
func FuzzPublish(f *testing.F) {
	for _, s := range []string{"80", "8080:80/udp", "[::1]:8000-8003:80-83", "1.2.3.4::53", "8080-8090:80", "::80", "0:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := option.ParseExpose(s); err != nil {
			oneLine(t, err)
		}
		list, err := option.ParsePublish(s)
		if err != nil {
			oneLine(t, err)
			return
		}
		for _, p := range list {
			if p.ContainerPort == 0 || p.HostEnd < p.HostPort || p.HostPort == 0 && p.HostEnd != 0 || p.Proto != "tcp" && p.Proto != "udp" {
				t.Errorf("%q gives %+v", s, p)
			}
			again, err := option.ParsePublish(p.String())
			if err != nil || len(again) != 1 || again[0] != p {
				t.Errorf("%q: %q reads back as %v, %v", s, p, again, err)
			}
		}
	})
}

// FuzzNetworks: a mode that was let through has what belongs to it and nothing of
// another's.
func FuzzNetworks(f *testing.F) {
	for _, s := range []string{"slirp:mtu=1500,cidr=10.0.2.0/24,ipv6=on", "mynet:ip=10.89.0.5,alias=x", `name=a1,"alias=x"`, "container:x", "pasta:-t,80", "host"} {
		f.Add(s, "b1")
	}
	f.Fuzz(func(t *testing.T, s, second string) {
		n, err := option.ParseNetworks([]string{s, second})
		if err != nil {
			oneLine(t, err)
			if n, err = option.ParseNetworks([]string{s}); err != nil {
				oneLine(t, err)
				return
			}
		}
		c := n.Slirp.CIDR
		if (n.Name == option.NetNamed) != (len(n.Members) > 0) || n.Slirp.MTU != 0 && (n.Slirp.MTU < 68 || n.Slirp.MTU > 65520) ||
			c.IsValid() && (c != c.Masked() || c.Bits() > 25) {
			t.Errorf("%q gives %+v", s, n)
		}
		for _, m := range n.Members {
			if strings.ContainsAny(m.Network, "/ :,=\x00") || m.MAC[0]&1 != 0 || m.IP.IsValid() && !m.IP.Is4() || m.IP6.IsValid() && !m.IP6.Is6() {
				t.Errorf("%q gives the member %+v", s, m)
			}
		}
	})
}
