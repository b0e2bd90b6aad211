package probe

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (f *Facts) checkLimits() Check {
	var parts []string
	for _, l := range []struct {
		resource int
		name     string
	}{{unix.RLIMIT_NOFILE, "open files"}, {unix.RLIMIT_NPROC, "processes"}, {unix.RLIMIT_CORE, "core size"}} {
		if soft, hard, err := f.h.Rlimit(l.resource); err == nil {
			parts = append(parts, l.name+" "+limitText(soft)+"/"+limitText(hard))
		}
	}
	if v, present := f.sysctl("kernel/pid_max"); present {
		parts = append(parts, "pid_max "+v)
	}
	c := info(strings.Join(parts, ", "))
	if soft, hard, err := f.h.Rlimit(unix.RLIMIT_NOFILE); err == nil && hard < 4096 {
		c = missed(c.Fact, fmt.Sprintf("few files may be open (%s/%s)", limitText(soft), limitText(hard)),
			"raise the limit (ulimit -n; nofile in /etc/security/limits.conf)")
	}
	return c
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

func (f *Facts) checkPorts() Check {
	v, present := f.sysctl("net/ipv4/ip_unprivileged_port_start")
	if !present {
		v = "1024"
	}
	return info("ports from " + v + " on can be published (" + persistHint("net.ipv4.ip_unprivileged_port_start=80") + " lowers that)")
}

func persistHint(setting string) string { return "sysctl " + setting }

// checkPing asks whether the caller's group may open ICMP sockets, which a
// network stack without privileges needs to pass on ping.
func (f *Facts) checkPing() Check {
	v, _ := f.sysctl("net/ipv4/ping_group_range")
	var low, high int64
	if _, err := fmt.Sscan(v, &low, &high); err != nil {
		return info("unknown")
	}
	if f.HasCap(unix.CAP_NET_RAW) && f.Initial() {
		return ok("allowed by CAP_NET_RAW")
	}
	if gid := int64(f.GID()); low <= gid && gid <= high {
		return ok(fmt.Sprintf("groups %d-%d may ping", low, high))
	}
	return missed("ping needs privileges for this user", fmt.Sprintf("group %d is not in net.ipv4.ping_group_range (%d %d)", f.GID(), low, high),
		persist("'net.ipv4.ping_group_range=0 2147483647'"))
}

func (f *Facts) checkTerminal() Check {
	var on []string
	for fd, name := range []string{"input", "output", "errors"} {
		if f.h.Terminal(fd) {
			on = append(on, name)
		}
	}
	if on == nil {
		return info("none")
	}
	return info(strings.Join(on, ", ") + " (TERM=" + f.h.Getenv("TERM") + ")")
}
