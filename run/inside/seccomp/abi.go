package seccomp

import (
	"fmt"
	"runtime"
	"sort"
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

// lines is where each line of table begins. Finding them is all the parsing
// that is done ahead (on first use: a process that compiles no filter pays
// nothing); a map of the table would cost more than the rest of a compilation.
var lines = sync.OnceValue(func() []uint16 {
	at := make([]uint16, 0, 512)
	for from := 0; from < len(table); {
		at = append(at, uint16(from))
		from += strings.IndexByte(table[from:], '\n') + 1
	}
	return at
})

// lookup finds a call by its name; the table is sorted.
func lookup(name string) (c call, ok bool) {
	at := lines()
	i, found := sort.Find(len(at), func(i int) int {
		line := table[at[i]:]
		return strings.Compare(name, line[:strings.IndexByte(line, ' ')])
	})
	c.nr = [columns]int32{-1, -1, -1, -1, -1}
	if found {
		c = parseCall(table[int(at[i])+len(name)+1:])
	}
	c.gate, c.mask, c.place = gateOf(name)
	return c, found || c.gate != 0
}

// parseCall reads five numbers, - for none, up to the end of the line.
func parseCall(line string) (c call) {
	column, n := 0, int32(0)
	for i := 0; column < columns; i++ {
		switch ch := line[i]; ch {
		case '-':
			n = -1
		case ' ', '\n':
			c.nr[column] = n
			column, n = column+1, 0
		default:
			n = n*10 + int32(ch-'0')
		}
	}
	return c
}

// gateOf finds the gate of i386 that a call can also be reached through. A
// profile that speaks of "bind" means the one through socketcall(2) too;
// libseccomp does the same. (Only "send" and "recv" have no other way.)
func gateOf(name string) (gate int32, mask, place uint32) {
	const socketcall, ipc, version = 102, 117, 0xffff // the upper half of ipc's first argument is a version
	switch name {
	case "socket":
		return socketcall, 0xffffffff, 1
	case "bind":
		return socketcall, 0xffffffff, 2
	case "connect":
		return socketcall, 0xffffffff, 3
	case "listen":
		return socketcall, 0xffffffff, 4
	case "accept":
		return socketcall, 0xffffffff, 5
	case "getsockname":
		return socketcall, 0xffffffff, 6
	case "getpeername":
		return socketcall, 0xffffffff, 7
	case "socketpair":
		return socketcall, 0xffffffff, 8
	case "send":
		return socketcall, 0xffffffff, 9
	case "recv":
		return socketcall, 0xffffffff, 10
	case "sendto":
		return socketcall, 0xffffffff, 11
	case "recvfrom":
		return socketcall, 0xffffffff, 12
	case "shutdown":
		return socketcall, 0xffffffff, 13
	case "setsockopt":
		return socketcall, 0xffffffff, 14
	case "getsockopt":
		return socketcall, 0xffffffff, 15
	case "sendmsg":
		return socketcall, 0xffffffff, 16
	case "recvmsg":
		return socketcall, 0xffffffff, 17
	case "accept4":
		return socketcall, 0xffffffff, 18
	case "recvmmsg":
		return socketcall, 0xffffffff, 19
	case "sendmmsg":
		return socketcall, 0xffffffff, 20
	case "semop":
		return ipc, version, 1
	case "semget":
		return ipc, version, 2
	case "semctl":
		return ipc, version, 3
	case "semtimedop":
		return ipc, version, 4
	case "msgsnd":
		return ipc, version, 11
	case "msgrcv":
		return ipc, version, 12
	case "msgget":
		return ipc, version, 13
	case "msgctl":
		return ipc, version, 14
	case "shmat":
		return ipc, version, 21
	case "shmdt":
		return ipc, version, 22
	case "shmget":
		return ipc, version, 23
	case "shmctl":
		return ipc, version, 24
	}
	return 0, 0, 0
}

// An Entry is one way to make a system call: seccomp_data's arch and number.
type Entry struct {
	Arch   uint32
	Number uint32
}

// Entries lists how a call can be made on this machine, by its name.
func Entries(name string) []Entry { return entriesOn(runtime.GOARCH, name) }

func entriesOn(goarch, name string) []Entry {
	abis, err := abisOf(goarch)
	c, ok := lookup(name)
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
