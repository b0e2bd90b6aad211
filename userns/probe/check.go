package probe

// Status is what a check came to.
type Status string

// The statuses, from good to bad.
const (
	StatusOK     Status = "ok"
	StatusInfo   Status = "info"   // worth knowing, neither good nor bad
	StatusMissed Status = "missed" // something is not to be had, and containers run without it
	StatusFailed Status = "failed" // no container can run
)

// Check is one finding of the doctor.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Fact   string `json:"fact"`             // what is so, in a few words
	Reason string `json:"reason,omitempty"` // why it is not better
	Remedy string `json:"remedy,omitempty"` // what to do, most often a line for an administrator to run
}

// Report is everything that is known of a host.
type Report struct {
	Checks  []Check  `json:"checks"`
	Choices []Choice `json:"choices"`
}

// Healthy reports whether nothing stands against running a container. Whether
// one really runs, only running one can tell.
func (r Report) Healthy() bool {
	for _, c := range r.Checks {
		if c.Status == StatusFailed {
			return false
		}
	}
	return true
}

// namedCheck is one line of the table of checks.
type namedCheck struct {
	name string
	run  func(*Facts) Check
}

// checks are all checks in the order in which the doctor shows them. It is a
// function so that the table costs nothing at the start of the program.
func checks() []namedCheck {
	return []namedCheck{
		{"kernel", (*Facts).checkKernel},
		{"distribution", (*Facts).checkDistribution},
		{"nested", (*Facts).checkNested},
		{"userns", (*Facts).checkUserns},
		{"userns-limit", (*Facts).checkUsernsLimit},
		{"subuid", (*Facts).checkSubUIDs},
		{"subgid", (*Facts).checkSubGIDs},
		{"newuidmap", (*Facts).checkNewuidmap},
		{"newgidmap", (*Facts).checkNewgidmap},
		{"subids", (*Facts).checkMapping},
		{"setgroups", (*Facts).checkSetgroups},
		{"mntns", namespace("mntns", nsMount)},
		{"pidns", namespace("pidns", nsPID)},
		{"netns", namespace("netns", nsNet)},
		{"ipcns", namespace("ipcns", nsIPC)},
		{"utsns", namespace("utsns", nsUTS)},
		{"cgroupns", namespace("cgroupns", nsCgroup)},
		{"proc", (*Facts).checkProc},
		{"overlay", (*Facts).checkOverlay},
		{"mount-api", (*Facts).checkMountAPI},
		{"fuse", (*Facts).checkFuse},
		{"tun", (*Facts).checkTun},
		{"seccomp", (*Facts).checkSeccomp},
		{"no-new-privs", (*Facts).checkNoNewPrivs},
		{"lsm", (*Facts).checkLSM},
		{"home", (*Facts).checkHome},
		{"store", (*Facts).checkStore},
		{"runtime", (*Facts).checkRuntime},
		{"xdg-runtime", (*Facts).checkXDG},
		{"cgroup", (*Facts).checkCgroup},
		{"delegation", (*Facts).checkDelegation},
		{"systemd", (*Facts).checkSystemd},
		{"linger", (*Facts).checkLinger},
		{"limits", (*Facts).checkLimits},
		{"ports", (*Facts).checkPorts},
		{"ping", (*Facts).checkPing},
		{"terminal", (*Facts).checkTerminal},
	}
}

// Names are the names of all checks, in the doctor's order.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Check makes one check by name. A test that needs something of the host asks
// this, and so skips for the very reason that the doctor gives.
func (f *Facts) Check(name string) Check {
	for _, c := range checks() {
		if c.name == name {
			return f.named(c)
		}
	}
	return Check{Name: name, Status: StatusFailed, Fact: "there is no such check"}
}

func (f *Facts) named(c namedCheck) Check {
	found := c.run(f)
	found.Name = c.name
	return found
}

// Pins are the rungs that are asked for by name; "" and "auto" climb.
type Pins struct{ Identity, Rootfs, Cgroups string }

// Doctor makes all checks and climbs all ladders: some hundred milliseconds.
func Doctor(f *Facts, pins Pins) Report {
	var r Report
	for _, c := range checks() {
		r.Checks = append(r.Checks, f.named(c))
	}
	for _, climb := range []func() (Choice, error){
		func() (Choice, error) { return Identity(f, pins.Identity) },
		func() (Choice, error) { return Rootfs(f, pins.Rootfs) },
		func() (Choice, error) { return Network(f, "") },
		func() (Choice, error) { return Cgroup(f, pins.Cgroups) },
		func() (Choice, error) { return Proc(f, "") },
		func() (Choice, error) { return Store(f) },
		func() (Choice, error) { return Runtime(f) },
	} {
		c, err := climb()
		if err != nil { // no rung at all: the check of the same name has failed too
			c.Rung, c.Reason = "", err.Error()
		}
		r.Choices = append(r.Choices, c)
	}
	return r
}

func ok(fact string) Check   { return Check{Status: StatusOK, Fact: fact} }
func info(fact string) Check { return Check{Status: StatusInfo, Fact: fact} }
func missed(fact, reason, remedy string) Check {
	return Check{Status: StatusMissed, Fact: fact, Reason: reason, Remedy: remedy}
}
func failed(fact, reason, remedy string) Check {
	return Check{Status: StatusFailed, Fact: fact, Reason: reason, Remedy: remedy}
}
