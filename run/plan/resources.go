package plan

import (
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
)

// resources writes the limits that a cgroup keeps, in the specification's terms, which are
// docker's and those of cgroup v1. What rl itself writes is run/cgroup's to tell.
func (p *Plan) resources(_ *v1.ImageConfig, f *Flags, _ *Facts) error {
	l := f.Limits
	if l == (option.Limits{}) {
		return nil
	}
	r := &specs.LinuxResources{}
	if l.Memory != 0 || l.MemorySwap != 0 || l.Reservation != 0 {
		r.Memory = &specs.LinuxMemory{Limit: some(l.Memory), Swap: some(l.MemorySwap), Reservation: some(l.Reservation)}
		if l.Memory > 0 && l.MemorySwap == 0 {
			r.Memory.Swap = some(2 * l.Memory)
		}
	}
	period, quota := uint64(l.CPUPeriod), l.CPUQuota
	if l.NanoCPUs != 0 {
		period = 100000
		quota = l.NanoCPUs * int64(period) / 1e9
	}
	if period != 0 || quota != 0 || l.CPUShares != 0 || l.CPUs != "" || l.Mems != "" {
		r.CPU = &specs.LinuxCPU{Shares: some(l.CPUShares), Quota: some(quota), Period: some(period), Cpus: l.CPUs, Mems: l.Mems}
	}
	if l.PIDs != 0 {
		r.Pids = &specs.LinuxPids{Limit: &l.PIDs}
	}
	if l.BlkioWeight != 0 {
		r.BlockIO = &specs.LinuxBlockIO{Weight: &l.BlkioWeight}
	}
	p.Spec.Linux.Resources = r
	return nil
}

// some is a value that was asked for, nil for zero.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
