package cli

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/oci/ref"
	"rl/run"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// runCmd has docker's flags. Slices take no commas apart: values may hold them.
type runCmd struct {
	only bool // create it

	Image []string `arg:"" optional:"" passthrough:"partial" predictor:"image" help:"Image, then the command and its arguments."`

	AddHost      []string `sep:"none" placeholder:"NAME:IP" help:"Line for /etc/hosts."`
	Annotation   []string `sep:"none" placeholder:"KEY=VALUE" help:"Annotation of the runtime configuration (rl inspect shows it)."`
	CapAdd       []string `placeholder:"CAP" help:"Capability to add to docker's fourteen."`
	CapDrop      []string `placeholder:"CAP" help:"Capability to drop; ALL is all."`
	Cidfile      string   `placeholder:"FILE" help:"Write the container's id to a file, which must not exist."`
	DetachKeys   string   `default:"ctrl-p,ctrl-q" help:"Keys that leave a container with a terminal running."`
	Detach       bool     `short:"d" help:"Run in the background and print the container's id."`
	Device       []string `sep:"none" placeholder:"HOST[:CONTAINER]" help:"Device of the host."`
	Domainname   string   `name:"domainname" placeholder:"NAME" help:"NIS domain name of the container."`
	Dns          []string `name:"dns" placeholder:"IP" help:"Name server."`
	DnsOption    []string `name:"dns-option" aliases:"dns-opt" placeholder:"OPTION" help:"Option for /etc/resolv.conf."`
	DnsSearch    []string `name:"dns-search" placeholder:"DOMAIN" help:"Search domain; . is none."`
	Entrypoint   *string  `placeholder:"CMD" help:"Run this instead of the image's entry point; \"\" is none."`
	Env          []string `short:"e" sep:"none" placeholder:"NAME[=VALUE]" help:"Environment variable; without a value, the caller's."`
	EnvHost      bool     `help:"Give the workload the caller's environment, too, before the image's."`
	EnvFile      []string `sep:"none" placeholder:"FILE" help:"File of environment variables."`
	GroupAdd     []string `placeholder:"GROUP" help:"Further group of the workload; keep-groups keeps the caller's."`
	Expose       []string `sep:"none" placeholder:"PORT[/PROTO]" help:"Port that -P publishes beside the image's own."`
	HooksDir     []string `sep:"none" placeholder:"DIR" help:"Directory of OCI hooks (oci-hooks(5)) to run at points of the container's life."`
	Hostname     string   `short:"h" placeholder:"NAME" help:"Host name of the container."`
	Init         bool     `help:"Run a small pid 1 that reaps and hands signals on."`
	Interactive  bool     `short:"i" help:"Keep standard input open."`
	Ip           string   `name:"ip" placeholder:"ADDRESS" help:"IPv4 address of the container."`
	Ip6          string   `name:"ip6" placeholder:"ADDRESS" help:"IPv6 address of the container."`
	Ipc          string   `placeholder:"MODE" help:"private, host or none."`
	Label        []string `short:"l" sep:"none" placeholder:"KEY=VALUE" help:"Label."`
	LabelFile    []string `sep:"none" placeholder:"FILE" help:"File of labels."`
	LogDriver    string   `placeholder:"DRIVER" help:"What keeps the output: json-file, journald, none, or passthrough for our own streams."`
	LogOpt       []string `sep:"none" placeholder:"NAME=VALUE" help:"Option of the driver: max-size, max-file, tag, labels, env."`
	MacAddress   string   `placeholder:"MAC" help:"Link address of the container."`
	Mount        []string `sep:"none" placeholder:"SPEC" help:"type=bind|volume|tmpfs,source=DIR,target=DIR[,readonly]…"`
	Name         string   `placeholder:"NAME" help:"Name of the container."`
	Network      []string `aliases:"net" sep:"none" placeholder:"MODE" env:"RL_NETWORK" help:"slirp[:OPTIONS], host, none, container:NAME, pasta, slirp4netns, or networks made by rl network."`
	NetworkAlias []string `aliases:"net-alias" placeholder:"NAME" help:"Further name in the user-defined network."`
	OomScoreAdj  string   `name:"oom-score-adj" placeholder:"N" help:"How gladly the kernel kills the workload for memory, -1000 to 1000."`
	Pcap         string   `placeholder:"FILE" help:"Write what the embedded network carries to a file, for tcpdump or tshark."`
	Pid          string   `placeholder:"MODE" help:"private or host."`
	Pidfile      string   `placeholder:"FILE" help:"Write the workload's process number to a file at each start."`
	Platform     string   `placeholder:"OS/ARCH" help:"Platform of the image to pull."`
	Privileged   bool     `help:"All capabilities over the container's own namespaces, no seccomp, nothing masked."`
	Publish      []string `short:"p" sep:"none" placeholder:"[[IP:]PORT:]PORT[/PROTO]" help:"Reach a port of the container through one of the host; ranges a-b; without a host port, a free one."`
	PublishAll   bool     `short:"P" help:"Publish every port that the image exposes, each on a free one."`
	Pull         string   `default:"missing" placeholder:"POLICY" env:"RL_PULL" help:"When to fetch the image: missing, always or never."`
	Quiet        bool     `short:"q" help:"Show no progress of fetching the image."`
	ReadOnly     bool     `help:"Make the root file system read-only."`
	Restart      string   `placeholder:"POLICY" help:"Start it again when it ends: no, always, unless-stopped or on-failure[:N]."`
	Rm           bool     `help:"Remove the container when it ends."`
	Rootfs       string   `placeholder:"DIR" help:"Run in this directory instead of an image; changes stay in it."`
	SecurityOpt  []string `sep:"none" placeholder:"OPT" help:"seccomp=FILE|unconfined, no-new-privileges, mask=…, unmask=…"`
	ShmSize      string   `placeholder:"SIZE" help:"Size of /dev/shm (64m)."`
	SigProxy     bool     `default:"true" negatable:"" help:"Hand signals on to the workload."`
	StopSignal   string   `placeholder:"SIGNAL" help:"Signal that asks the workload to end."`
	StopTimeout  *int     `placeholder:"SECONDS" help:"How long to wait after that signal."`
	Sysctl       []string `sep:"none" placeholder:"NAME=VALUE" help:"Kernel parameter of the container's namespaces."`
	Tmpfs        []string `sep:"none" placeholder:"DIR[:OPTIONS]" help:"Memory file system."`
	Tty          bool     `short:"t" help:"Give the workload a terminal."`
	Ulimit       []string `placeholder:"NAME=SOFT[:HARD]" help:"Resource limit."`
	Umask        string   `placeholder:"OCTAL" help:"File mode mask of the workload."`
	User         string   `short:"u" placeholder:"USER[:GROUP]" help:"User of the workload, by name or number."`
	Userns       string   `placeholder:"MODE" help:"keep-id[:uid=N,gid=N], host, or a rung: auto, subids, single."`
	Uts          string   `placeholder:"MODE" help:"private or host."`
	Volume       []string `short:"v" sep:"none" placeholder:"[SRC:]DIR[:OPTS]" help:"Directory or file of the host, volume by its name, or anonymous volume."`
	VolumesFrom  []string `sep:"none" placeholder:"CONTAINER[:ro]" help:"Binds and volumes of another container, too."`
	Workdir      string   `short:"w" placeholder:"DIR" help:"Working directory of the workload."`

	limitFlags  `embed:""`
	cgroupFlags `embed:""`
	healthFlags `embed:""`
}

// createCmd has the flags of run.
type createCmd struct{ runCmd }

// Run makes the container and prints its id.
func (c *createCmd) Run(a *app) error {
	c.only = true
	return c.runCmd.Run(a)
}

// Help is what stands below the flags.
func (runCmd) Help() string {
	return `The exit status is the workload's; 128+N when signal N ended it; 125 when rl failed, 126 when the command cannot be executed, 127 when it is not found.

IMAGE is NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE. "rl run hello" shows what a container sees, without a registry.`
}

// Run runs the container.
func (c *runCmd) Run(a *app) error {
	if c.Rootfs == "" && len(c.Image) == 0 {
		return fault.New("`rl run IMAGE [COMMAND…]`; `rl images` lists what there is", "no image was named")
	}
	stdio, err := c.stdio(a)
	if err != nil {
		return err
	}
	flags, err := c.flags()
	if err != nil {
		return err
	}
	flags.Cgroups = a.Cgroups
	if err := c.pin(a, flags); err != nil {
		return err
	}
	keys, err := option.ParseDetachKeys(c.DetachKeys)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	box := &run.Container{Flags: *flags, CIDFile: c.Cidfile, SigProxy: c.SigProxy, Detach: keys, Stdio: stdio,
		Background: c.Detach, Started: func(id string) { a.println(id) }}
	if c.Rootfs != "" {
		box.Flags.Args = c.Image
		if box.Rootfs, err = filepath.Abs(c.Rootfs); err != nil {
			return err
		}
		box.Name = box.Rootfs
	} else if err := c.image(a, e, box); err != nil {
		return err
	}
	if c.only {
		id, err := e.Create(a.context(), box)
		if err == nil {
			a.println(id)
		}
		return err
	}
	code, err := e.Run(a.context(), box)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// image finds the image, or has it fetched.
func (c *runCmd) image(a *app, e *run.Engine, box *run.Container) (err error) {
	box.Name, box.Flags.Args = c.Image[0], c.Image[1:]
	if img, err := e.Hello(a.context(), box.Name); err != nil || img != nil {
		box.Image = img
		box.Flags.Env = append(box.Flags.Env, option.Env{Name: helloChoices, Value: strings.Join(e.Choices(box.Flags.Network.Name), "\n")})
		return err
	}
	policy, err := option.ParsePull(c.Pull)
	if err != nil {
		return err
	}
	if maybeID(box.Name) {
		if box.Image, err = e.Store.Image(box.Name); err == nil {
			return nil
		}
	}
	r, err := ref.Parse(box.Name)
	if err != nil {
		return err
	}
	var bars *bars
	if !c.Quiet {
		bars = newBars(a.Err)
	}
	defer bars.end()
	box.Image, err = e.Find(a.context(), run.Request{Ref: r, Pull: policy, Platform: c.Platform, Progress: bars})
	return err
}

// maybeID tells whether a name may be an image id, or the beginning of one.
func maybeID(name string) bool {
	hex := strings.TrimPrefix(name, "sha256:")
	return len(hex) >= 4 && strings.Trim(hex, "0123456789abcdef") == ""
}

// stdio decides the workload's standard streams.
func (c *runCmd) stdio(a *app) ([3]*os.File, error) {
	s := [3]*os.File{a.In, a.Out, a.Err}
	if c.Tty && c.Interactive && !c.Detach && !c.only {
		if _, err := unix.IoctlGetTermios(int(a.In.Fd()), unix.TCGETS); err != nil {
			return s, fault.New("leave -t away, or run rl from a terminal", "the input device is not a terminal")
		}
	}
	if !c.Interactive && !c.Tty {
		s[0] = nil
	}
	for fd, f := range s {
		if f == nil {
			continue
		}
		if st, err := f.Stat(); err == nil && st.IsDir() { // a way out of the root file system
			return s, fault.New("redirect it from or to a file", "descriptor %d is a directory", fd)
		}
	}
	return s, nil
}

// pin takes --userns apart into a rung of the ladder and a numbering.
func (c *runCmd) pin(a *app, f *plan.Flags) error {
	switch c.Userns {
	case "", "auto":
	case "straight", "host", "subids", "single":
		a.Userns = c.Userns
		return nil
	}
	u, err := option.ParseUserns(c.Userns)
	if err != nil {
		return err
	}
	f.Userns = u
	return nil
}

// flags reads every option's value.
func (c *runCmd) flags() (*plan.Flags, error) {
	f := &plan.Flags{
		Workdir: c.Workdir, UserText: c.User, Groups: c.GroupAdd, Search: c.DnsSearch, DNSOpts: c.DnsOption,
		Name: c.Name, Interactive: c.Interactive, Terminal: c.Tty, Init: c.Init, Remove: c.Rm, ReadOnly: c.ReadOnly,
		CapAdd: c.CapAdd, CapDrop: c.CapDrop, Privileged: c.Privileged, Umask: c.Umask, StopSignal: c.StopSignal,
	}
	if c.Entrypoint != nil {
		f.Entrypoint = &[]string{}
		if *c.Entrypoint != "" {
			*f.Entrypoint = []string{*c.Entrypoint}
		}
	}
	if c.OomScoreAdj != "" {
		n, err := strconv.Atoi(c.OomScoreAdj)
		if err != nil || n < -1000 || n > 1000 {
			return nil, fault.New("it is a number from -1000 to 1000", "invalid --oom-score-adj %q", c.OomScoreAdj)
		}
		f.OOMScore = &n
	}
	if c.StopTimeout != nil {
		d := time.Duration(*c.StopTimeout) * time.Second
		f.StopTimeout = &d
	}
	for _, read := range []func(*plan.Flags) error{c.names, c.environment, c.networking, c.modes, c.mounts, c.resources, c.health, c.rest} {
		if err := read(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (c *runCmd) names(f *plan.Flags) (err error) {
	if f.Name != "" {
		if f.Name, err = option.ParseName(f.Name); err != nil {
			return err
		}
	}
	if c.Domainname != "" {
		if f.Domainname, err = option.ParseHostname(c.Domainname); err != nil {
			return err
		}
	}
	if c.Hostname != "" {
		if f.Hostname, err = option.ParseHostname(c.Hostname); err != nil {
			return err
		}
	}
	if c.User != "" {
		if f.User, err = option.ParseUser(c.User); err != nil {
			return err
		}
	}
	for _, file := range c.LabelFile {
		labels, err := readFile(file, option.ParseLabelFile)
		if err != nil {
			return err
		}
		f.Labels = append(f.Labels, labels...)
	}
	if err := each(c.Annotation, option.ParseLabel, &f.Annotations); err != nil {
		return err
	}
	for _, dir := range c.HooksDir {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		f.HooksDirs = append(f.HooksDirs, dir)
	}
	if c.Pidfile != "" {
		if f.PIDFile, err = filepath.Abs(c.Pidfile); err != nil {
			return err
		}
	}
	return each(c.Label, option.ParseLabel, &f.Labels)
}

func (c *runCmd) environment(f *plan.Flags) error {
	if c.EnvHost {
		f.HostEnv = os.Environ()
	}
	for _, file := range c.EnvFile {
		vars, err := readFile(file, func(r io.Reader, name string) ([]option.Env, error) {
			return option.ParseEnvFile(r, name, os.LookupEnv)
		})
		if err != nil {
			return err
		}
		f.Env = append(f.Env, vars...)
	}
	return each(c.Env, func(s string) (option.Env, error) { return option.ParseEnv(s, os.LookupEnv) }, &f.Env)
}

func (c *runCmd) modes(f *plan.Flags) (err error) {
	for _, m := range []struct {
		text  string
		parse func(string) (option.Mode, error)
		into  *option.Mode
	}{{c.Pid, option.ParsePid, &f.Pid}, {c.Ipc, option.ParseIPC, &f.IPC}, {c.Uts, option.ParseUTS, &f.UTS}} {
		if m.text == "" {
			continue
		}
		if *m.into, err = m.parse(m.text); err != nil {
			return err
		}
	}
	return nil
}

func (c *runCmd) mounts(f *plan.Flags) error {
	if err := each(c.Volume, option.ParseVolume, &f.Mounts); err != nil {
		return err
	}
	if err := each(c.Mount, option.ParseMount, &f.Mounts); err != nil {
		return err
	}
	if err := each(c.Tmpfs, option.ParseTmpfs, &f.Mounts); err != nil {
		return err
	}
	if err := each(c.VolumesFrom, option.ParseVolumesFrom, &f.VolumesFrom); err != nil {
		return err
	}
	for i, m := range f.Mounts {
		if m.Type == option.Bind && !filepath.IsAbs(m.Source) {
			abs, err := filepath.Abs(m.Source)
			if err != nil {
				return err
			}
			f.Mounts[i].Source = abs
		}
	}
	return nil
}

func (c *runCmd) rest(f *plan.Flags) (err error) {
	if f.Restart, err = option.ParseRestart(c.Restart); err != nil {
		return err
	}
	if err := each(c.Ulimit, option.ParseUlimit, &f.Ulimits); err != nil {
		return err
	}
	if err := each(c.Sysctl, option.ParseSysctl, &f.Sysctls); err != nil {
		return err
	}
	if err := each(c.Device, option.ParseDevice, &f.Devices); err != nil {
		return err
	}
	if f.Log, err = option.ParseLog(c.LogDriver, c.LogOpt); err != nil {
		return err
	}
	if c.ShmSize != "" {
		if f.ShmSize, err = option.ParseSize("--shm-size", c.ShmSize); err != nil {
			return err
		}
	}
	f.Security, err = option.ParseSecurity(c.SecurityOpt)
	if s := f.Security.Seccomp; err == nil && strings.Contains(s, "/") {
		f.Security.Seccomp, err = filepath.Abs(s)
	}
	return err
}

// each reads every value of an option.
func each[T any](values []string, parse func(string) (T, error), into *[]T) error {
	for _, s := range values {
		v, err := parse(s)
		if err != nil {
			return err
		}
		*into = append(*into, v)
	}
	return nil
}
