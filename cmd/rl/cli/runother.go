package cli

import (
	"strings"

	"rl/userns/sys/fault"
)

// elsewhere are docker's flags of run that cannot be had here: why, and what to do instead,
// which is more than that they are unknown.
func elsewhere() map[string][2]string {
	return map[string][2]string{
		"attach":                {"the streams are the caller's, and -i keeps standard input", "redirect what is not wanted, as in 2>/dev/null, or use -d and rl logs"},
		"blkio-weight-device":   {"cgroup v2 gives it to nobody but root", "--blkio-weight is for all disks"},
		"device-cgroup-rule":    {"devices are made by root", "--device brings one that the user may use"},
		"device-read-bps":       {"rl sets no limits of single disks", "--blkio-weight is for all disks"},
		"device-read-iops":      {"rl sets no limits of single disks", "--blkio-weight is for all disks"},
		"device-write-bps":      {"rl sets no limits of single disks", "--blkio-weight is for all disks"},
		"device-write-iops":     {"rl sets no limits of single disks", "--blkio-weight is for all disks"},
		"disable-content-trust": {"it is the default", "leave it away"},
		"gpus":                  {"there is no helper program to ask for them", "--device /dev/nvidia0, and -v for the driver's libraries"},
		"isolation":             {"that is Windows'", "leave it away"},
		"kernel-memory":         {"cgroup v2 has no such limit", "--memory counts the kernel's, too"},
		"link":                  {"containers of one network find each other by name", "rl network create, and --network for both"},
		"link-local-ip":         {"the network has none", "leave it away"},
		"memory-swappiness":     {"cgroup v2 has no such setting", "--memory-swap limits swap"},
		"oom-kill-disable":      {"cgroup v2 cannot forbid the kernel to end processes", "give it more memory, or protect it with --oom-score-adj"},
		"runtime":               {"rl executes the workload itself", "leave it away"},
		"storage-opt":           {"there are no quotas without root", "leave it away"},
		"volume-driver":         {"volumes are directories", "leave it away"},
	}
}

// refusal is why kong does not know such a flag; nil for another error.
func refusal(err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag -")
	if !unknown {
		return nil
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), ",") // did you mean
	name, _, _ = strings.Cut(name, "=")
	if name == "a" {
		name = "attach"
	}
	if r, ok := elsewhere()[name]; ok {
		return fault.New(r[1], "--%s: %s", name, r[0])
	}
	return nil
}
