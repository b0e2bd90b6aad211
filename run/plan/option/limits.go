package option

import (
	"math/big"
	"strconv"
	"strings"

	"rl/userns/sys/fault"
)

// NoLimit takes a limit away, where zero asks nothing.
const NoLimit = -1

// Limits is what a container may use of the machine, in docker's terms. Zero asks
// nothing.
type Limits struct {
	Memory      int64  `json:",omitempty"` // bytes
	MemorySwap  int64  `json:",omitempty"` // bytes of memory and swap together; NoLimit: all the swap there is
	Reservation int64  `json:",omitempty"` // bytes that are taken from it last
	NanoCPUs    int64  `json:",omitempty"` // 1e9 is one processor's time
	CPUQuota    int64  `json:",omitempty"` // microseconds in each period
	CPUPeriod   int64  `json:",omitempty"` // microseconds
	CPUShares   uint64 `json:",omitempty"` // against others, of whom each has 1024
	CPUs        string `json:",omitempty"` // list of processors
	Mems        string `json:",omitempty"` // list of memory nodes
	PIDs        int64  `json:",omitempty"`
	BlkioWeight uint16 `json:",omitempty"` // 10 to 1000
}

// docker's bounds.
const (
	minMemory  = 6 << 20
	minQuota   = 1000
	minPeriod  = 1000
	maxPeriod  = 1000000
	minShares  = 2
	maxShares  = 262144
	minBlkio   = 10
	maxBlkio   = 1000
	maxCPUList = 8192 // more than any kernel numbers
)

// ParseMemorySwap reads --memory-swap; -1 is all the swap there is.
func ParseMemorySwap(s string) (int64, error) {
	if s == "-1" {
		return NoLimit, nil
	}
	return ParseSize("--memory-swap", s)
}

// ParseCPUs reads --cpus, a decimal number or a fraction, in billionths.
func ParseCPUs(s string) (int64, error) {
	const hint = "write how many processors' time it may have, as in 1.5"
	if strings.Trim(s, "0123456789./") != "" || len(s) > 32 { // no exponents, which could be large
		return 0, bad("--cpus", s, hint, "not a number")
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, bad("--cpus", s, hint, "not a number")
	}
	nano := r.Mul(r, big.NewRat(1e9, 1))
	if !nano.IsInt() || !nano.Num().IsInt64() {
		return 0, bad("--cpus", s, hint, "the value is too precise, or too large")
	}
	return nano.Num().Int64(), nil
}

// ParseCPUList reads --cpuset-cpus and --cpuset-mems: "0-3,5".
func ParseCPUList(kind, s string) (string, error) {
	if _, err := CPUSet(s); err != nil {
		return "", bad(kind, s, "write numbers and ranges, as in 0-3,5", err.Error())
	}
	return s, nil
}

// CPUSet is the numbers of a list.
func CPUSet(list string) (map[int]bool, error) {
	set := map[int]bool{}
	for field := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(field, "-")
		a, ok := parseID(first)
		b := a
		if isRange && ok {
			b, ok = parseID(last)
		}
		switch {
		case !ok:
			return nil, fault.New("", "%s is not a number or a range", quote(field))
		case b < a:
			return nil, fault.New("", "the range %s runs backwards", quote(field))
		case b > maxCPUList:
			return nil, fault.New("", "%d is too large", b)
		}
		for n := a; n <= b; n++ {
			set[n] = true
		}
	}
	return set, nil
}

// ParsePIDs reads --pids-limit; 0 and -1 are no limit.
func ParsePIDs(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, bad("--pids-limit", s, "write how many processes there may be, or -1", "not a number")
	}
	if n <= 0 {
		return NoLimit, nil
	}
	return n, nil
}

// Check finds what contradicts itself or cannot be, by docker's rules. cpus is how many
// processors there are.
func (l *Limits) Check(cpus int) error {
	wrong := func(hint, format string, args ...any) error { return fault.New(hint, format, args...) }
	switch {
	case l.Memory < 0:
		return wrong("leave it away for no limit", "--memory cannot be negative")
	case l.Memory > 0 && l.Memory < minMemory:
		return wrong("give it 6m or more", "minimum memory limit allowed is 6MB")
	case l.MemorySwap != 0 && l.Memory == 0:
		return wrong("add --memory", "you should always set the memory limit when using --memory-swap")
	case l.MemorySwap > 0 && l.MemorySwap < l.Memory:
		return wrong("--memory-swap is memory and swap together", "minimum memoryswap limit should be larger than memory limit")
	case l.Reservation > 0 && l.Reservation < minMemory:
		return wrong("give it 6m or more", "minimum memory reservation allowed is 6MB")
	case l.Memory > 0 && l.Reservation > l.Memory:
		return wrong("lower --memory-reservation", "minimum memory limit can not be less than memory reservation limit")
	case l.NanoCPUs > 0 && l.CPUPeriod > 0:
		return wrong("leave one of them away", "conflicting options: --cpus and --cpu-period cannot both be set")
	case l.NanoCPUs > 0 && l.CPUQuota > 0:
		return wrong("leave one of them away", "conflicting options: --cpus and --cpu-quota cannot both be set")
	case l.NanoCPUs < 0 || l.NanoCPUs > 0 && l.NanoCPUs < 1e7 || l.NanoCPUs > int64(cpus)*1e9:
		return wrong("", "range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", cpus, cpus)
	case l.CPUPeriod != 0 && (l.CPUPeriod < minPeriod || l.CPUPeriod > maxPeriod):
		return wrong("", "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case l.CPUQuota > 0 && l.CPUQuota < minQuota:
		return wrong("", "CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case l.CPUShares > maxShares || l.CPUShares == 1:
		return wrong("", "CPU shares are from %d to %d", minShares, maxShares)
	case l.BlkioWeight != 0 && (l.BlkioWeight < minBlkio || l.BlkioWeight > maxBlkio):
		return wrong("", "range of blkio weight is from %d to %d", minBlkio, maxBlkio)
	}
	return nil
}

// Merge is these limits with those of an update over them.
func (l Limits) Merge(over Limits) Limits {
	set(&l.Memory, over.Memory)
	set(&l.MemorySwap, over.MemorySwap)
	set(&l.Reservation, over.Reservation)
	set(&l.NanoCPUs, over.NanoCPUs)
	set(&l.CPUQuota, over.CPUQuota)
	set(&l.CPUPeriod, over.CPUPeriod)
	set(&l.CPUShares, over.CPUShares)
	set(&l.CPUs, over.CPUs)
	set(&l.Mems, over.Mems)
	set(&l.PIDs, over.PIDs)
	set(&l.BlkioWeight, over.BlkioWeight)
	return l
}

func set[T comparable](to *T, v T) {
	var zero T
	if v != zero {
		*to = v
	}
}
