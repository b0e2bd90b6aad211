package seccomp

import "encoding/binary"

// Operation codes of classic BPF that the kernel's seccomp checker allows and
// that its "always allowed" bitmap (5.11) can follow: loads, jumps, AND, RET.
const (
	opLoad = 0x20 // BPF_LD | BPF_W | BPF_ABS
	opAnd  = 0x54 // BPF_ALU | BPF_AND | BPF_K
	opJump = 0x05 // BPF_JMP | BPF_JA
	opEq   = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	opGt   = 0x25 // BPF_JMP | BPF_JGT | BPF_K
	opGe   = 0x35 // BPF_JMP | BPF_JGE | BPF_K
	opRet  = 0x06 // BPF_RET | BPF_K

	maxInstructions = 4096 // BPF_MAXINSNS

	offNr   = 0 // seccomp_data.nr
	offArch = 4 // seccomp_data.arch
	offArgs = 16
)

// insn is struct sock_filter.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// A node is a place in the program, counted from its end.
type node int

// An assembler writes a program from its last instruction to its first: BPF
// jumps only forward, so every target exists before the jump to it, and no
// label is ever patched. Equal instructions with equal successors are written
// once (memo): rules that many calls share, or several ABIs, cost nothing
// twice. The idea is from Chromium's bpf_dsl code generator.
type assembler struct {
	rev   []insn
	rets  []node
	memo  map[key]node
	relay map[node]node // the latest long jump, or copy of a RET, for a far target
}

type key struct {
	code   uint16
	k      uint32
	jt, jf node
}

func newAssembler() *assembler {
	return &assembler{rev: make([]insn, 0, 512), memo: make(map[key]node, 256), relay: map[node]node{}}
}

func (a *assembler) emit(i insn) node {
	a.rev = append(a.rev, i)
	return node(len(a.rev) - 1)
}

// distance is the jump offset from the next instruction to be written to n.
func (a *assembler) distance(n node) int { return len(a.rev) - 1 - int(n) }

// near gives a place that does what n does and that a conditional jump (8-bit
// offset) can reach, even when one more relay is written in between.
func (a *assembler) near(n node) node {
	const reach = 255 - 2
	if a.distance(n) <= reach {
		return n
	}
	if r, ok := a.relay[n]; ok && a.distance(r) <= reach {
		return r
	}
	i := a.rev[n]
	if i.code != opRet { // a RET is as short as a jump to it
		i = insn{code: opJump, k: uint32(a.distance(n))}
	}
	r := a.emit(i)
	a.relay[n] = r
	return r
}

// ret ends the program with an action.
func (a *assembler) ret(action uint32) node {
	for _, r := range a.rets { // few, and asked for by every call
		if a.rev[r].k == action {
			return r
		}
	}
	r := a.emit(insn{code: opRet, k: action})
	a.rets = append(a.rets, r)
	return r
}

// then writes a load or an AND that goes on at next.
func (a *assembler) then(code uint16, k uint32, next node) node {
	return a.once(key{code: code, k: k, jt: next}, func() node {
		if d := a.distance(next); d > 0 {
			a.emit(insn{code: opJump, k: uint32(d)})
		}
		return a.emit(insn{code: code, k: k})
	})
}

// branch writes a comparison of the accumulator with k.
func (a *assembler) branch(code uint16, k uint32, yes, no node) node {
	if yes == no {
		return yes
	}
	return a.once(key{code, k, yes, no}, func() node {
		t := a.near(yes)
		f := a.near(no)
		return a.emit(insn{code: code, k: k, jt: uint8(a.distance(t)), jf: uint8(a.distance(f))})
	})
}

func (a *assembler) once(k key, make func() node) node {
	if n, ok := a.memo[k]; ok {
		return n
	}
	n := make()
	a.memo[k] = n
	return n
}

// bytes gives the program that starts at entry, as an array of struct
// sock_filter in the byte order of the machine (both of ours are little endian).
func (a *assembler) bytes(entry node) []byte {
	out := make([]byte, 0, 8*(int(entry)+1))
	for i := int(entry); i >= 0; i-- {
		in := a.rev[i]
		out = binary.NativeEndian.AppendUint16(out, in.code)
		out = append(out, in.jt, in.jf)
		out = binary.NativeEndian.AppendUint32(out, in.k)
	}
	return out
}

// A segment is a range of values with one fate: from here to the next segment.
type segment struct {
	from uint32
	to   node
}

// search writes a binary search of the accumulator over segments, the first of
// which starts at 0. Neighbours with the same fate must have been joined.
func (a *assembler) search(s []segment) node {
	switch {
	case len(s) == 1:
		return s[0].to
	case len(s) == 3 && s[0].to == s[2].to && s[1].from+1 == s[2].from:
		return a.branch(opEq, s[1].from, s[1].to, s[0].to) // one odd value: one comparison for two
	}
	mid := len(s) / 2
	hi, lo := a.search(s[mid:]), a.search(s[:mid])
	return a.branch(opGe, s[mid].from, hi, lo)
}
