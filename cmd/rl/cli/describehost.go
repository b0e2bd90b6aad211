package cli

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"rl/run"
	"rl/run/logs"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/state"
)

// hostConfig is what docker tells of a container beside its image's part: what was asked, in
// docker's terms.
type hostConfig struct {
	Binds           []string
	LogConfig       logConfig
	NetworkMode     string
	PortBindings    map[string][]portBinding
	RestartPolicy   restartPolicy
	AutoRemove      bool
	VolumesFrom     []string
	CapAdd, CapDrop []string
	Dns             []string
	DnsOptions      []string
	DnsSearch       []string
	ExtraHosts      []string
	GroupAdd        []string
	IpcMode         string
	CgroupnsMode    string
	PidMode         string
	UTSMode         string
	UsernsMode      string
	OomScoreAdj     int
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	SecurityOpt     []string
	ShmSize         int64
	Runtime         string
	Init            bool

	Memory            int64
	MemorySwap        int64
	MemoryReservation int64
	NanoCpus          int64
	CpuShares         uint64
	CpuPeriod         int64
	CpuQuota          int64
	CpusetCpus        string
	CpusetMems        string
	PidsLimit         int64
	Ulimits           []ulimit
	BlkioWeight       uint16
	CgroupParent      string
}

type logConfig struct {
	Type   string
	Config map[string]string
}

type ulimit struct {
	Name       string
	Hard, Soft int64 // -1 is no limit
}

type restartPolicy struct {
	Name              string
	MaximumRetryCount int
}

const defaultShm = 64 << 20

func hostConfigOf(d *run.Description) hostConfig {
	rec := d.Record
	h := hostConfig{NetworkMode: rec.Network, AutoRemove: rec.Remove, Runtime: "rl", ShmSize: defaultShm, PortBindings: map[string][]portBinding{}, Ulimits: []ulimit{},
		RestartPolicy: restartPolicy{Name: option.RestartNo}, LogConfig: logConfig{cmp.Or(rec.LogDriver, logs.JSONFile), map[string]string{}}}
	if r := rec.Restart; r != nil {
		h.RestartPolicy = restartPolicy{r.Policy, r.Max}
	}
	if l := rec.Limits; l != nil {
		h.Memory, h.MemorySwap, h.MemoryReservation, h.NanoCpus = l.Memory, l.MemorySwap, l.Reservation, l.NanoCPUs
		h.CpuShares, h.CpuPeriod, h.CpuQuota, h.CpusetCpus, h.CpusetMems = l.CPUShares, l.CPUPeriod, l.CPUQuota, l.CPUs, l.Mems
		h.PidsLimit, h.BlkioWeight = l.PIDs, l.BlkioWeight
	}
	for _, m := range rec.Mounts {
		if !m.Anonymous && !inherited(d, m.Target) {
			c := mountOf(m)
			h.Binds = append(h.Binds, strings.TrimSuffix(cmp.Or(m.Name, m.Source)+":"+m.Target+":"+c.Mode, ":"))
		}
	}
	if f := d.Flags; f != nil {
		h.ask(f)
	}
	return h
}

func modeText(m option.Mode) string {
	if m.Arg == "" {
		return m.Name
	}
	return m.Name + ":" + m.Arg
}

// ask adds what only the flags tell, which are kept of what can be started again.
func (h *hostConfig) ask(f *plan.Flags) {
	for _, p := range f.Publish {
		key := portKey(p.ContainerPort, p.Proto)
		b := portBinding{HostIp: hostAddress(p.HostIP)}
		if p.HostPort != 0 {
			b.HostPort = strconv.Itoa(int(p.HostPort))
		}
		if !slices.Contains(h.PortBindings[key], b) {
			h.PortBindings[key] = append(h.PortBindings[key], b)
		}
	}
	for _, v := range f.VolumesFrom {
		h.VolumesFrom = append(h.VolumesFrom, v.Container)
	}
	for _, a := range f.AddHosts {
		h.ExtraHosts = append(h.ExtraHosts, a.Name+":"+a.IP)
	}
	h.CapAdd, h.CapDrop, h.Dns, h.DnsOptions, h.DnsSearch, h.GroupAdd = f.CapAdd, f.CapDrop, f.DNS, f.DNSOpts, f.Search, f.Groups
	for _, u := range f.Ulimits {
		h.Ulimits = append(h.Ulimits, ulimit{u.Name, int64(u.Hard), int64(u.Soft)})
	}
	h.SecurityOpt, h.CgroupnsMode = f.Security.Options(), cmp.Or(modeText(f.Cgroup), option.Private)
	h.IpcMode, h.PidMode, h.UTSMode, h.UsernsMode = cmp.Or(modeText(f.IPC), option.Private), modeText(f.Pid), modeText(f.UTS), f.Userns.Mode
	h.Privileged, h.PublishAllPorts, h.ReadonlyRootfs, h.Init, h.CgroupParent = f.Privileged, f.PublishAll, f.ReadOnly, f.Init, f.CgroupParent
	h.LogConfig.Config = f.Log.Options()
	if f.ShmSize != 0 {
		h.ShmSize = f.ShmSize
	}
	if f.OOMScore != nil {
		h.OomScoreAdj = *f.OOMScore
	}
}

type networkSettings struct {
	Mode  string `json:"NetworkMode"`
	Ports map[string][]portBinding
	networkEndpoint
	Networks map[string]networkEndpoint
}

// networkEndpoint is a container's place in a network, while it runs.
type networkEndpoint struct {
	IPAddress           string
	IPPrefixLen         int
	Gateway             string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	IPv6Gateway         string
	MacAddress          string
	Aliases             []string `json:",omitempty"`
}

type portBinding struct{ HostIp, HostPort string }

func networkSettingsOf(d *run.Description) networkSettings {
	n := networkSettings{Mode: d.Record.Network, Ports: map[string][]portBinding{}, Networks: map[string]networkEndpoint{}}
	if d.Status.Running {
		for _, p := range shownPorts(d.Record) {
			key, at := portKey(p.port, p.proto), n.Ports[portKey(p.port, p.proto)]
			if p.host != 0 {
				at = append(at, portBinding{hostAddress(p.ip), strconv.Itoa(int(p.host))})
			}
			n.Ports[key] = at
		}
	}
	for _, e := range d.Record.Endpoints {
		var at networkEndpoint
		if d.Status.Running {
			at = endpointOf(e)
		}
		if len(n.Networks) == 0 {
			n.networkEndpoint = at
			n.Aliases = nil
		}
		n.Networks[e.Network] = at
	}
	return n
}

func endpointOf(e state.Endpoint) networkEndpoint {
	at := networkEndpoint{MacAddress: net.HardwareAddr(e.MAC[:]).String(), Aliases: e.Names}
	for _, p := range e.Addrs {
		if p.Addr().Is4() {
			at.IPAddress, at.IPPrefixLen = p.Addr().String(), p.Bits()
		} else {
			at.GlobalIPv6Address, at.GlobalIPv6PrefixLen = p.Addr().String(), p.Bits()
		}
	}
	for _, g := range e.Gateways {
		if g.Is4() {
			at.Gateway = g.String()
		} else {
			at.IPv6Gateway = g.String()
		}
	}
	return at
}
