package option_test

import (
	"strings"
	"testing"

	"rl/run/plan/option"
)

func TestParseCPUs(t *testing.T) {
	table(t, option.ParseCPUs, []row[int64]{
		{in: "1", want: 1e9}, {in: "0.5", want: 5e8}, {in: ".01", want: 1e7}, {in: "1/4", want: 25e7}, {in: "0.000000001", want: 1},
		{in: "", err: "not a number"}, {in: "-1", err: "not a number"}, {in: "1e9999999", err: "not a number"}, {in: "1/0", err: "not a number"},
		{in: "all", err: "not a number"}, {in: "0.0000000001", err: "too precise"}, {in: "99999999999999999999", err: "too large"},
	})
}

func TestParseCPUList(t *testing.T) {
	table(t, func(s string) (string, error) { return option.ParseCPUList("--cpuset-cpus", s) }, []row[string]{
		{in: "0", want: "0"}, {in: "0-3,5", want: "0-3,5"}, {in: "7,1", want: "7,1"},
		{in: "", err: "not a number"}, {in: "0,", err: "not a number"}, {in: "3-1", err: "runs backwards"}, {in: "-1", err: "not a number"},
		{in: "0-99999999", err: "too large"}, {in: "0\n1", err: "not a number"}, {in: "0-1-2", err: "not a number"},
	})
}

func TestParsePIDsAndSwap(t *testing.T) {
	table(t, option.ParsePIDs, []row[int64]{
		{in: "100", want: 100}, {in: "-1", want: option.NoLimit}, {in: "0", want: option.NoLimit}, {in: "many", err: "not a number"},
	})
	table(t, option.ParseMemorySwap, []row[int64]{
		{in: "-1", want: option.NoLimit}, {in: "1g", want: 1 << 30}, {in: "-2", err: "cannot be negative"},
	})
}

func TestLimitsCheck(t *testing.T) {
	const m = 1 << 20
	for _, c := range []struct {
		l   option.Limits
		err string // docker's words
	}{
		{option.Limits{}, ""},
		{option.Limits{Memory: 6 * m, MemorySwap: 6 * m, Reservation: 6 * m, NanoCPUs: 2e9, PIDs: -1, CPUShares: 2, BlkioWeight: 10}, ""},
		{option.Limits{Memory: 100 * m, MemorySwap: -1, CPUQuota: 1000, CPUPeriod: 1000000}, ""},
		{option.Limits{Memory: 6*m - 1}, "minimum memory limit allowed is 6MB"},
		{option.Limits{MemorySwap: m}, "always set the memory limit"},
		{option.Limits{MemorySwap: -1}, "always set the memory limit"},
		{option.Limits{Memory: 10 * m, MemorySwap: 9 * m}, "larger than memory limit"},
		{option.Limits{Memory: 10 * m, Reservation: 11 * m}, "less than memory reservation"},
		{option.Limits{Reservation: m}, "minimum memory reservation"},
		{option.Limits{NanoCPUs: 1e9, CPUPeriod: 1000}, "--cpus and --cpu-period"},
		{option.Limits{NanoCPUs: 1e9, CPUQuota: 1000}, "--cpus and --cpu-quota"},
		{option.Limits{NanoCPUs: 1e7 - 1}, "range of CPUs is from 0.01 to 2.00"},
		{option.Limits{NanoCPUs: 3e9}, "only 2 CPUs available"},
		{option.Limits{CPUPeriod: 999}, "period"}, {option.Limits{CPUPeriod: 1000001}, "period"}, {option.Limits{CPUQuota: 999}, "quota"},
		{option.Limits{CPUShares: 1}, "CPU shares"}, {option.Limits{CPUShares: 262145}, "CPU shares"},
		{option.Limits{BlkioWeight: 9}, "blkio weight"}, {option.Limits{BlkioWeight: 1001}, "blkio weight"},
	} {
		err := c.l.Check(2)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: %v; want %q", c.l, err, c.err)
		}
	}
}

func TestLimitsMerge(t *testing.T) {
	old := option.Limits{Memory: 1 << 30, NanoCPUs: 1e9, CPUs: "0"}
	got := old.Merge(option.Limits{Memory: 2 << 30, PIDs: option.NoLimit})
	if want := (option.Limits{Memory: 2 << 30, NanoCPUs: 1e9, CPUs: "0", PIDs: option.NoLimit}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
