package option

import (
	"strings"

	"rl/userns/sys/fault"
)

// Sysctl is one kernel parameter of a container.
type Sysctl struct {
	Key       string // with dots between the words: net.ipv4.ip_forward
	Value     string
	Path      string // below /proc/sys: net/ipv4/ip_forward
	Namespace string // which namespace it belongs to: ipc, net or uts
}

// ParseSysctl reads --sysctl KEY=VALUE. Only parameters that belong to a
// namespace of the container are let through, as docker does: all of net.,
// fs.mqueue., the System V ones of kernel., and kernel.domainname. As for
// sysctl(8), a key may have slashes between its words: then dots are part of them.
func ParseSysctl(s string) (Sysctl, error) {
	const kind = "sysctl"
	const hint = "write KEY=VALUE, as in net.ipv4.ip_unprivileged_port_start=80"
	key, value, ok := strings.Cut(s, "=")
	key = strings.TrimSpace(key)
	switch {
	case !ok || key == "":
		return Sysctl{}, bad(kind, s, hint, "no key and value")
	case hasNUL(s):
		return Sysctl{}, bad(kind, s, "", "a value cannot have a NUL byte")
	}
	words, ok := sysctlWords(key)
	if !ok {
		return Sysctl{}, bad(kind, s, hint, quote(key), " is not a key")
	}
	p := strings.Join(words, "/")
	c := Sysctl{Key: key, Value: strings.TrimSpace(value), Path: p, Namespace: sysctlNamespace(p)}
	if strings.IndexByte(key, '/') >= 0 {
		c.Key = strings.Map(swapDots, p)
	}
	switch {
	case p == "kernel/hostname":
		return Sysctl{}, bad(kind, s, "use --hostname", "the host name is not set this way")
	case c.Namespace == "":
		return Sysctl{}, bad(kind, s, "net.*, fs.mqueue.*, kernel.msg*, kernel.shm*, kernel.sem and kernel.domainname belong to a container",
			"this parameter belongs to the whole machine, not to a container")
	}
	return c, nil
}

// Check is an error when the container shares the namespace of the parameter
// with the host: it would be set for the host. Private tells of "ipc", "net" and
// "uts" whether the container has its own.
func (c Sysctl) Check(private func(namespace string) bool) error {
	if private(c.Namespace) {
		return nil
	}
	option := map[string]string{"ipc": "--ipc=host", "net": "--network=host", "uts": "--uts=host"}[c.Namespace]
	return fault.New("leave out "+option, "sysctl %s: needs a private %s namespace", quote(c.Key), c.Namespace)
}

func swapDots(r rune) rune {
	switch r {
	case '.':
		return '/'
	case '/':
		return '.'
	}
	return r
}

// sysctlWords splits a key into the parts of its path; none can lead elsewhere.
func sysctlWords(key string) ([]string, bool) {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.Map(swapDots, key)
	}
	words := strings.Split(key, "/")
	for _, w := range words {
		if w == "" || w == "." || w == ".." {
			return nil, false
		}
		for i := 0; i < len(w); i++ {
			if w[i] <= ' ' || w[i] >= 0x7f {
				return nil, false
			}
		}
	}
	return words, len(words) > 1
}

func sysctlNamespace(path string) string {
	switch path {
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax", "kernel/shmmni",
		"kernel/shm_rmid_forced", "kernel/msg_next_id", "kernel/sem_next_id", "kernel/shm_next_id", "kernel/auto_msgmni":
		return "ipc"
	case "kernel/domainname", "kernel/hostname":
		return "uts"
	}
	switch {
	case strings.HasPrefix(path, "fs/mqueue/"):
		return "ipc"
	case strings.HasPrefix(path, "net/"):
		return "net"
	}
	return ""
}
