package seccomp

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// data is struct seccomp_data, as far as filters here read it.
type data struct {
	nr, arch uint32
	args     [6]uint64
}

// check holds a program to what the kernel's seccomp_check_filter and
// bpf_check_classic want, and to the operations that its bitmap of calls that
// are always allowed can follow.
func check(prog []byte) error {
	n := len(prog) / 8
	if len(prog)%8 != 0 || n == 0 || n > maxInstructions {
		return fmt.Errorf("%d bytes", len(prog))
	}
	for i := range n {
		in := decode(prog, i)
		switch in.code {
		case opLoad:
			if in.k%4 != 0 || in.k >= 64 {
				return fmt.Errorf("%d: load of offset %d", i, in.k)
			}
		case opAnd, opRet:
		case opJump:
			if i+1+int(in.k) >= n {
				return fmt.Errorf("%d: jump by %d out of %d", i, in.k, n)
			}
		case opEq, opGt, opGe:
			if i+1+int(max(in.jt, in.jf)) >= n {
				return fmt.Errorf("%d: branch %d, %d out of %d", i, in.jt, in.jf, n)
			}
		default:
			return fmt.Errorf("%d: code %#x", i, in.code)
		}
	}
	if decode(prog, n-1).code != opRet {
		return fmt.Errorf("does not end with a return")
	}
	return nil
}

func decode(prog []byte, i int) insn {
	b := prog[8*i:]
	return insn{binary.NativeEndian.Uint16(b), b[2], b[3], binary.NativeEndian.Uint32(b[4:])}
}

// execute is the kernel's interpreter. steps counts the instructions.
func execute(prog []byte, d data) (ret uint32, steps int) {
	load := func(off uint32) uint32 {
		switch {
		case off == offNr:
			return d.nr
		case off == offArch:
			return d.arch
		case off < offArgs:
			panic("instruction pointer read")
		}
		v := d.args[(off-offArgs)/8]
		if off%8 == 4 {
			v >>= 32
		}
		return uint32(v)
	}
	var acc uint32
	for pc := 0; ; pc++ {
		steps++
		in := decode(prog, pc)
		var taken bool
		switch in.code {
		case opLoad:
			acc = load(in.k)
			continue
		case opAnd:
			acc &= in.k
			continue
		case opRet:
			return in.k, steps
		case opJump:
			pc += int(in.k)
			continue
		case opEq:
			taken = acc == in.k
		case opGt:
			taken = acc > in.k
		case opGe:
			taken = acc >= in.k
		}
		if taken {
			pc += int(in.jt)
		} else {
			pc += int(in.jf)
		}
	}
}

// interesting argument values: those of the profile, one off, their halves, anything.
func arguments(rnd *rand.Rand, spec *specs.LinuxSeccomp) (args [6]uint64) {
	var pool []uint64
	for _, s := range spec.Syscalls {
		for _, a := range s.Args {
			pool = append(pool, a.Value, a.ValueTwo)
		}
	}
	for i := range args {
		v := rnd.Uint64() >> rnd.UintN(64)
		if len(pool) > 0 && rnd.UintN(4) > 0 {
			v = pool[rnd.IntN(len(pool))]
		}
		switch rnd.UintN(8) {
		case 0:
			v++
		case 1:
			v--
		case 2:
			v ^= 1 << rnd.UintN(64)
		case 3:
			v = uint64(uint32(v))
		case 4:
			v <<= 32
		}
		args[i] = v
	}
	return args
}

// agree compares program and profile for every number of every ABI, and for
// the numbers where ranges could go wrong.
func agree(t *testing.T, goarch string, spec *specs.LinuxSeccomp, seed uint64, rounds int) (insns int) {
	t.Helper()
	prog, _, err := compileFor(goarch, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(prog); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	numbers := []uint32{0xffffffff, 0xfffffffe, 0x7fffffff, 0x80000000, x32Bit - 1, armPrivate - 1}
	for n := range uint32(600) {
		numbers = append(numbers, n, x32Bit+n)
	}
	for n := range uint32(8) {
		numbers = append(numbers, armPrivate+n)
	}
	abis, err := abisOf(goarch)
	if err != nil {
		t.Fatal(err)
	}
	known := look(spec)
	for _, audit := range []uint32{auditX8664, auditI386, auditAArch64, auditARM, 0, 0xffffffff, 22 | 1<<31} {
		numbers := numbers
		if !slices.ContainsFunc(abis, func(b abi) bool { return b.audit == audit }) {
			numbers = numbers[:20] // another machine's: the number does not matter
		}
		for _, nr := range numbers {
			for range rounds {
				d := data{nr, audit, arguments(rnd, spec)}
				want := judgeCalls(goarch, spec, known, d)
				if got, _ := execute(prog, d); got != want {
					t.Fatalf("%s: arch %#x number %#x arguments %#x: program says %#x, profile %#x", goarch, audit, nr, d.args, got, want)
				}
			}
		}
	}
	return len(prog) / 8
}
