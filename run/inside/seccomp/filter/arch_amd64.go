package filter

import "syscall"

const sysSeccomp = 317

// probes of calls that only this machine has.
var probes = [...]probe{
	{"chown", syscall.SYS_CHOWN, [5]uintptr{0, 1, 1}},
	{"lchown", syscall.SYS_LCHOWN, [5]uintptr{0, 1, 1}},
}
