package seccomp

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// An abi is one way into the kernel: a numbering of the calls and a width of
// their arguments. A 64-bit kernel has several, and a filter that forgets one
// leaves a side door: on x86-64, int 0x80 enters by i386, and numbers with bit
// 30 set are x32, which shares its audit architecture with x86-64.
type abi struct {
	column int        // in table
	arch   specs.Arch // its name in profiles
	audit  uint32     // AUDIT_ARCH_*, seccomp_data.arch
	base   uint32     // added to the table's numbers
}

// Columns of table; gen_table.go writes them in this order.
const (
	colAMD64 = iota
	col386
	colX32
	colARM64
	colARM
	columns
)

// AUDIT_ARCH_* of <linux/audit.h>: the ELF machine, | 1<<31 for 64 bits, | 1<<30 for little endian.
const (
	auditX8664   = 62 | 1<<31 | 1<<30
	auditI386    = 3 | 1<<30
	auditAArch64 = 183 | 1<<31 | 1<<30
	auditARM     = 40 | 1<<30

	x32Bit     = 0x40000000 // __X32_SYSCALL_BIT
	armPrivate = 0x0f0000   // __ARM_NR_BASE: breakpoint, cacheflush, set_tls …
	skipped    = 0xffffffff // number -1, see segments
)

// abisOf lists the ABIs of a machine, the native one first.
func abisOf(goarch string) ([]abi, error) {
	switch goarch {
	case "amd64":
		return []abi{
			{colAMD64, specs.ArchX86_64, auditX8664, 0},
			{colX32, specs.ArchX32, auditX8664, x32Bit},
			{col386, specs.ArchX86, auditI386, 0},
		}, nil
	case "arm64":
		return []abi{
			{colARM64, specs.ArchAARCH64, auditAArch64, 0},
			{colARM, specs.ArchARM, auditARM, 0},
		}, nil
	}
	return nil, fmt.Errorf("no system call table for the architecture %s", goarch)
}

// numbers of one call on every ABI, -1 where it has none.
type numbers [columns]int32

// calls is the parsed table. It costs about 50 µs, so it is made on first use
// and never by a process that compiles no filter.
var calls = sync.OnceValue(func() map[string]numbers {
	m := make(map[string]numbers, strings.Count(table, "\n"))
	for rest := table; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		name, line, _ := strings.Cut(line, " ")
		var n numbers
		for i := range n {
			var field string
			field, line, _ = strings.Cut(line, " ")
			v, err := strconv.Atoi(field)
			if err != nil {
				v = -1 // "-"
			}
			n[i] = int32(v)
		}
		m[name] = n
	}
	return m
})

// A gate is a call of i386 that stands for many: the first argument says which.
type gate struct {
	call string
	mask uint64
	nr   map[string]uint64
}

// gates makes the table of socketcall(2) and ipc(2). A profile that speaks of
// "bind" means the one through the gate too; libseccomp does the same.
var gates = sync.OnceValue(func() []gate {
	list := func(from uint64, names string) map[string]uint64 {
		m := map[string]uint64{}
		for i, name := range strings.Fields(names) {
			m[name] = from + uint64(i)
		}
		return m
	}
	return []gate{
		{"socketcall", 0xffffffff, list(1, "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom "+
			"shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg")},
		{"ipc", 0xffff, list(1, "semop semget semctl semtimedop")}, // the upper half is a version
		{"ipc", 0xffff, list(11, "msgsnd msgrcv msgget msgctl")},
		{"ipc", 0xffff, list(21, "shmat shmdt shmget shmctl")},
	}
})
