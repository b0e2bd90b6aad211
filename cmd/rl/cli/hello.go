package cli

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// helloChoices is the variable that tells the workload what rl decided, which a
// container cannot see from inside.
const helloChoices = "RL_CHOICES"

// helloCmd is the workload of the image that rl brings along.
type helloCmd struct {
	Args []string `arg:"" optional:"" passthrough:""`
}

// Run prints what a process of a container sees.
func (helloCmd) Run(a *app) error {
	w := tabwriter.NewWriter(a.Out, 0, 1, 2, ' ', 0)
	host, _ := os.Hostname()
	fmt.Fprintf(w, "Hello from a container of rl.\n\n")
	fmt.Fprintf(w, "host name\t%s\n", host)
	fmt.Fprintf(w, "process\t%d: %s\n", os.Getpid(), strings.Join(os.Args, " "))
	fmt.Fprintf(w, "pid 1\t%s\n", strings.ReplaceAll(strings.Trim(slurp("/proc/1/cmdline"), "\x00"), "\x00", " "))
	groups, _ := os.Getgroups()
	fmt.Fprintf(w, "ids\tuid %d, gid %d, groups %v\n", os.Getuid(), os.Getgid(), groups)
	fmt.Fprintf(w, "uid map\t%s\n", oneLine(slurp("/proc/self/uid_map")))
	fmt.Fprintf(w, "gid map\t%s\n", oneLine(slurp("/proc/self/gid_map")))
	for _, key := range []string{"CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters"} {
		fmt.Fprintf(w, "%s\t%s\n", key, statusField(key))
	}
	helloNetwork(w)
	for _, r := range []struct {
		name string
		n    int
	}{{"open files", unix.RLIMIT_NOFILE}, {"processes", unix.RLIMIT_NPROC}} {
		var lim unix.Rlimit
		if unix.Getrlimit(r.n, &lim) == nil {
			fmt.Fprintf(w, "limit of %s\t%d, at most %d\n", r.name, lim.Cur, lim.Max)
		}
	}
	fmt.Fprintf(w, "cgroup\t%s\n", oneLine(slurp("/proc/self/cgroup")))
	choices := os.Getenv(helloChoices)
	os.Unsetenv(helloChoices)
	fmt.Fprintf(w, "environment\t%s\n\nchoices\n", strings.Join(os.Environ(), " "))
	for line := range strings.Lines(choices) {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(line))
	}
	fmt.Fprintf(w, "\nmounts\n")
	helloMounts(w)
	return w.Flush()
}

func helloNetwork(w *tabwriter.Writer) {
	links, err := net.Interfaces()
	if err != nil {
		fmt.Fprintf(w, "network\t%v\n", err)
		return
	}
	for _, l := range links {
		addrs, _ := l.Addrs()
		fmt.Fprintf(w, "network\t%s %v, mtu %d, %s\n", l.Name, addrs, l.MTU, l.Flags)
	}
}

// helloMounts lists mount points, types and options from /proc/self/mountinfo.
func helloMounts(w *tabwriter.Writer) {
	s := bufio.NewScanner(strings.NewReader(slurp("/proc/self/mountinfo")))
	for s.Scan() {
		f := strings.Fields(s.Text())
		for i := range f {
			if f[i] == "-" && i+2 < len(f) && i > 5 {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", f[4], f[i+1], f[5])
			}
		}
	}
}

func slurp(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func oneLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "; ")
}

func statusField(key string) string {
	for line := range strings.Lines(slurp("/proc/self/status")) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "?"
}
