package seccomp

import (
	"fmt"
	"runtime"
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

// A call is one line of the table.
type call struct {
	nr [columns]int32 // on every ABI, -1 where it has none

	// Some calls of i386 can be reached through a gate too: another call that
	// stands for many and says by its first argument which.
	gate  int32  // the gate's number, 0 for none
	mask  uint32 // of its first argument
	place uint32 // which call
}

// calls is the parsed table. It costs about 50 µs, so it is made on first use
// and never by a process that compiles no filter.
var calls = sync.OnceValue(func() map[string]call {
	m := make(map[string]call, strings.Count(table, "\n"))
	for rest := table; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		name, line, _ := strings.Cut(line, " ")
		var c call
		for i := range c.nr {
			var field string
			field, line, _ = strings.Cut(line, " ")
			v, err := strconv.Atoi(field)
			if err != nil {
				v = -1 // "-"
			}
			c.nr[i] = int32(v)
		}
		m[name] = c
	}
	// A profile that speaks of "bind" means the one through socketcall(2) too;
	// libseccomp does the same.
	for _, g := range [...]struct {
		call  string
		mask  uint32
		from  uint32
		names string
	}{
		{"socketcall", 0xffffffff, 1, "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom " +
			"shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"},
		{"ipc", 0xffff, 1, "semop semget semctl semtimedop"}, // the upper half is a version
		{"ipc", 0xffff, 11, "msgsnd msgrcv msgget msgctl"},
		{"ipc", 0xffff, 21, "shmat shmdt shmget shmctl"},
	} {
		place := g.from
		for name := range strings.FieldsSeq(g.names) {
			c, ok := m[name]
			if !ok {
				c.nr = [columns]int32{-1, -1, -1, -1, -1} // send and recv exist behind the gate only
			}
			c.gate, c.mask, c.place = m[g.call].nr[col386], g.mask, place
			m[name] = c
			place++
		}
	}
	return m
})

// An Entry is one way to make a system call: seccomp_data's arch and number.
type Entry struct {
	Arch   uint32
	Number uint32
}

// Entries lists how a call can be made on this machine, by its name.
func Entries(name string) []Entry { return entriesOn(runtime.GOARCH, name) }

func entriesOn(goarch, name string) []Entry {
	abis, err := abisOf(goarch)
	c, ok := calls()[name]
	if err != nil || !ok {
		return nil
	}
	var out []Entry
	for _, b := range abis {
		if c.nr[b.column] >= 0 {
			out = append(out, Entry{b.audit, b.base + uint32(c.nr[b.column])})
		}
	}
	return out
}
