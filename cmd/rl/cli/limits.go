package cli

import (
	"runtime"
	"strconv"

	"rl/run"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// limitFlags are what run and update share.
type limitFlags struct {
	BlkioWeight       string `name:"blkio-weight" placeholder:"N" help:"Share of the disks, 10 to 1000."`
	CpuPeriod         string `name:"cpu-period" placeholder:"µS" help:"Length of the scheduler's period, in microseconds."`
	CpuQuota          string `name:"cpu-quota" placeholder:"µS" help:"Processor time in each period, in microseconds."`
	CpuShares         string `name:"cpu-shares" short:"c" placeholder:"N" help:"Share of the processors against others, who have 1024."`
	Cpus              string `name:"cpus" placeholder:"N" help:"How many processors' time it may use, as in 1.5."`
	CpusetCpus        string `name:"cpuset-cpus" placeholder:"LIST" help:"Processors that it may run on, as in 0-3,5."`
	CpusetMems        string `name:"cpuset-mems" placeholder:"LIST" help:"Memory nodes that it may use."`
	Memory            string `name:"memory" short:"m" placeholder:"SIZE" help:"How much memory it may use, as in 512m."`
	MemoryReservation string `name:"memory-reservation" placeholder:"SIZE" help:"Memory that is taken from it last."`
	MemorySwap        string `name:"memory-swap" placeholder:"SIZE" help:"How much memory and swap together; -1 is all the swap there is."`
	PidsLimit         string `name:"pids-limit" placeholder:"N" help:"How many processes and threads there may be; -1 is any number."`
}

// limits reads them.
func (c *limitFlags) limits() (l option.Limits, err error) {
	for _, v := range []struct {
		text string
		read func(string) error
	}{
		{c.Memory, into(&l.Memory, sizeOf("--memory"))},
		{c.MemorySwap, into(&l.MemorySwap, option.ParseMemorySwap)},
		{c.MemoryReservation, into(&l.Reservation, sizeOf("--memory-reservation"))},
		{c.Cpus, into(&l.NanoCPUs, option.ParseCPUs)},
		{c.CpuQuota, into(&l.CPUQuota, numberOf("--cpu-quota"))},
		{c.CpuPeriod, into(&l.CPUPeriod, numberOf("--cpu-period"))},
		{c.CpuShares, into(&l.CPUShares, func(s string) (uint64, error) { n, err := unsignedOf("--cpu-shares", 64)(s); return n, err })},
		{c.CpusetCpus, into(&l.CPUs, func(s string) (string, error) { return option.ParseCPUList("--cpuset-cpus", s) })},
		{c.CpusetMems, into(&l.Mems, func(s string) (string, error) { return option.ParseCPUList("--cpuset-mems", s) })},
		{c.PidsLimit, into(&l.PIDs, option.ParsePIDs)},
		{c.BlkioWeight, into(&l.BlkioWeight, func(s string) (uint16, error) { n, err := unsignedOf("--blkio-weight", 16)(s); return uint16(n), err })},
	} {
		if v.text == "" {
			continue
		}
		if err := v.read(v.text); err != nil {
			return l, err
		}
	}
	return l, nil
}

func into[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(s string) (err error) {
		*to, err = parse(s)
		return err
	}
}

func sizeOf(flag string) func(string) (int64, error) {
	return func(s string) (int64, error) { return option.ParseSize(flag, s) }
}

func numberOf(flag string) func(string) (int64, error) {
	return func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fault.New("it is a whole number", "invalid %s %q", flag, s)
		}
		return n, nil
	}
}

func unsignedOf(flag string, bits int) func(string) (uint64, error) {
	return func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			return 0, fault.New("it is a whole number", "invalid %s %q", flag, s)
		}
		return n, nil
	}
}

// cgroupFlags are those of run alone.
type cgroupFlags struct {
	CgroupParent string `name:"cgroup-parent" placeholder:"CGROUP" help:"Slice of the service manager, or path below the caller's cgroup, for the container's."`
	Cgroupns     string `name:"cgroupns" placeholder:"MODE" help:"private or host."`
}

// resources reads limits and where they hold.
func (c *runCmd) resources(f *plan.Flags) (err error) {
	f.CgroupParent = c.CgroupParent
	if c.Cgroupns != "" {
		if f.Cgroup, err = option.ParseCgroupns(c.Cgroupns); err != nil {
			return err
		}
	}
	if f.Limits, err = c.limitFlags.limits(); err != nil {
		return err
	}
	return f.Limits.Check(runtime.NumCPU())
}

type pauseCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`
}

// Run stops the processes of each container.
func (c *pauseCmd) Run(a *app) error {
	return eachContainer(a, c.Names, false, (*run.Engine).Pause)
}

type unpauseCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`
}

// Run lets the processes of each container go on.
func (c *unpauseCmd) Run(a *app) error {
	return eachContainer(a, c.Names, false, (*run.Engine).Unpause)
}

type updateCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`

	limitFlags `embed:""`

	Restart string `placeholder:"POLICY" help:"When it is started again: no, always, unless-stopped or on-failure[:N]."`
}

// Run changes each container's limits and restart policy.
func (c *updateCmd) Run(a *app) error {
	l, err := c.limits()
	if err != nil {
		return err
	}
	policy, err := option.ParseRestart(c.Restart)
	if err != nil {
		return err
	}
	if l == (option.Limits{}) && c.Restart == "" {
		return fault.New("`rl update --help` lists what can be changed", "you must provide one or more flags when using this command")
	}
	return eachContainer(a, c.Names, false, func(e *run.Engine, name string) error {
		if c.Restart != "" {
			if err := e.SetRestart(name, policy); err != nil || l == (option.Limits{}) {
				return err
			}
		}
		return e.Update(name, l)
	})
}
