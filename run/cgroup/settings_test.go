package cgroup

import (
	"strings"
	"testing"

	"rl/run/plan/option"
)

func lines(list []Setting) string {
	var out []string
	for _, s := range list {
		text := s.File + "=" + s.Value
		if s.Or != nil {
			text += "|" + s.Or.File + "=" + s.Or.Value
		}
		if s.Derived {
			text += "?"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// What docker's words become in the kernel's files.
func TestSettings(t *testing.T) {
	const m = 1 << 20
	for _, c := range []struct {
		l    option.Limits
		want string
	}{
		{option.Limits{}, ""},
		{option.Limits{Memory: 64 * m}, "memory.max=67108864 memory.swap.max=67108864?"},
		{option.Limits{Memory: 64 * m, MemorySwap: 65 * m}, "memory.max=67108864 memory.swap.max=1048576"},
		{option.Limits{Memory: 64 * m, MemorySwap: 64 * m}, "memory.max=67108864 memory.swap.max=0"},
		{option.Limits{Memory: 64 * m, MemorySwap: -1}, "memory.max=67108864 memory.swap.max=max?"},
		{option.Limits{Reservation: 8 * m}, "memory.low=8388608"},
		{option.Limits{NanoCPUs: 15e8}, "cpu.max=150000 100000"},
		{option.Limits{NanoCPUs: 1e7}, "cpu.max=1000 100000"},
		{option.Limits{CPUQuota: 2000}, "cpu.max=2000 100000"},
		{option.Limits{CPUQuota: 2000, CPUPeriod: 5000}, "cpu.max=2000 5000"},
		{option.Limits{CPUQuota: -1}, "cpu.max=max 100000"},
		{option.Limits{CPUPeriod: 5000}, "cpu.max=max 5000"},
		{option.Limits{CPUShares: 1024}, "cpu.weight=100"},
		{option.Limits{CPUs: "0-1", Mems: "0"}, "cpuset.cpus=0-1 cpuset.mems=0"},
		{option.Limits{PIDs: 7}, "pids.max=7"},
		{option.Limits{PIDs: -1}, "pids.max=max"},
		{option.Limits{BlkioWeight: 500}, "io.bfq.weight=500|io.weight=4950"},
		{option.Limits{BlkioWeight: 10}, "io.bfq.weight=10|io.weight=1"},
		{option.Limits{BlkioWeight: 1000}, "io.bfq.weight=1000|io.weight=10000"},
	} {
		if got := lines(Settings(c.l)); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.l, got, c.want)
		}
	}
}

// The curve goes through the defaults and the ends, and never down.
func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 1024: 100, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("%d shares are the weight %d, want %d", shares, got, want)
		}
	}
	last := uint64(0)
	for s := uint64(2); s <= 262144; s++ {
		w := weight(s)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("%d shares are the weight %d after %d", s, w, last)
		}
		last = w
	}
}

// An update writes what it changes, and what hangs on that.
func TestChange(t *testing.T) {
	const m = 1 << 20
	old := &option.Limits{Memory: 64 * m, MemorySwap: 128 * m, PIDs: 10}
	all, list, err := Change(old, option.Limits{Memory: 96 * m, PIDs: 10}, 2)
	if err != nil || all.PIDs != 10 || all.Memory != 96*m {
		t.Fatal(all, err)
	}
	if got, want := lines(list), "memory.max=100663296 memory.swap.max=33554432"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, _, err := Change(old, option.Limits{Memory: 256 * m}, 2); err == nil || !strings.Contains(err.Error(), "memoryswap") {
		t.Errorf("memory above the swap limit that there was: %v", err)
	}
	if all, list, err := Change(nil, option.Limits{PIDs: 5}, 2); err != nil || all.PIDs != 5 || lines(list) != "pids.max=5" {
		t.Error(all, lines(list), err)
	}
}
