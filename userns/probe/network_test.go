package probe

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Every way in which the network is asked for and can be had, or not.
func TestNetwork(t *testing.T) {
	tun := func(err error) func(*fake) {
		return func(k *fake) { k.edit = func(h *Host) { h.Open = func(string) error { return err } } }
	}
	for _, c := range []struct {
		pin    string
		aim    Rung
		edit   func(*fake)
		rung   Rung
		notice string // or error
		remedy string
	}{
		{"", NetSlirp, tun(nil), NetSlirp, "", ""},
		{"auto", NetSlirp, tun(nil), NetSlirp, "", ""},
		{"", NetSlirp, tun(unix.ENOENT), NetHost, "no user-mode network: /dev/net/tun does not exist; --network host is used", "modprobe tun"},
		{"", NetSlirp, tun(unix.EACCES), NetHost, "ann may not open /dev/net/tun", "chmod 0666"},
		{"", NetSlirp, tun(unix.EPERM), NetHost, "device cgroup", "--device /dev/net/tun"},
		{"", NetSlirp, tun(unix.ENODEV), NetHost, "no driver", "modprobe tun"},
		{"", NetSlirp, tun(unix.EMFILE), NetHost, "cannot be opened", ""},
		{"", NetHost, tun(unix.ENOENT), NetHost, "", ""},
		{"slirp", NetSlirp, tun(nil), NetSlirp, "", ""},
		{"slirp", NetSlirp, tun(unix.ENOENT), "", "--network slirp cannot be had: /dev/net/tun does not exist", "modprobe tun"},
		{"network", NetSlirp, tun(unix.EACCES), "", "--network network cannot be had: ann may not", "chmod"},
		{"host", NetSlirp, tun(unix.ENOENT), NetHost, "", ""},
		{"container", NetSlirp, tun(unix.ENOENT), NetContainer, "", ""},
		{"pasta", NetSlirp, files("/usr/bin/pasta", "#!"), NetPasta, "", ""},
		{"pasta", NetSlirp, files("/etc/os-release", "ID=debian\n"), "", "pasta is not installed", "apt-get install passt"},
		{"slirp4netns", NetSlirp, files("/etc/os-release", "ID=x\n"), "", "slirp4netns is not installed", "package slirp4netns"},
	} {
		k := host()
		c.edit(&k)
		got, err := k.facts(t).network(c.pin, c.aim)
		if c.rung == "" {
			var fe *fault.Error
			if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.notice) || !strings.Contains(fe.Hint, c.remedy) {
				t.Errorf("%q: %v; want %q", c.pin, err, c.notice)
			}
			continue
		}
		n := got.Notice()
		if err != nil || got.Rung != c.rung || got.Reason == "" || !strings.Contains(n, c.notice) || (n == "") != (c.notice == "") {
			t.Errorf("%q: %+v, %v, notice %q; want %s, %q", c.pin, got, err, n, c.rung, c.notice)
		}
		if n != "" && !strings.Contains(got.Missed[0].Remedy, c.remedy) {
			t.Errorf("%q: remedy %q", c.pin, got.Missed[0].Remedy)
		}
	}
}
