package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
	"rl/userns/idmap"
	"rl/userns/sys/fault"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// keptUser is whom keep-id makes the workload, as podman does: the caller.
func keptUser(u option.Userns, h *Facts) string {
	id := func(asked int, table idmap.Ranges) string {
		if asked >= 0 {
			return strconv.Itoa(asked)
		}
		for _, r := range table {
			if r.Size == 1 { // the caller's line
				return strconv.Itoa(int(r.Container))
			}
		}
		return "0"
	}
	return id(u.UID, h.Map.UIDs) + ":" + id(u.GID, h.Map.GIDs)
}

// process decides what is executed: arguments, environment, directory.
func (p *Plan) process(image *v1.ImageConfig, f *Flags, h *Facts) error {
	args, err := command(image, f)
	if err != nil {
		return err
	}
	cwd := f.Workdir
	if cwd == "" {
		cwd = image.WorkingDir
	}
	if cwd == "" {
		cwd = "/"
	}
	if !path.IsAbs(cwd) {
		return fault.New("name it from the container's root: -w /"+cwd, "the working directory %q is not an absolute path", cwd)
	}
	p.Spec.Process = &specs.Process{
		Terminal: f.Terminal, Args: args, Cwd: path.Clean(cwd),
		Env:         environment(image, f, p.Spec.Hostname, h.Hostname),
		User:        specs.User{Username: p.User},
		OOMScoreAdj: f.OOMScore,
	}
	if f.Umask != "" {
		n, err := strconv.ParseUint(f.Umask, 8, 12)
		if err != nil {
			return fault.New("give it in octal, as in --umask 0022", "invalid umask %q", f.Umask)
		}
		mask := uint32(n)
		p.Spec.Process.User.Umask = &mask
	}
	if p.StopSignal = f.StopSignal; p.StopSignal == "" {
		p.StopSignal = image.StopSignal
	}
	if p.StopSignal != "" {
		if _, err := option.ParseSignal(p.StopSignal); err != nil {
			return err
		}
	}
	return nil
}

// command puts entry point and arguments together as docker does: --entrypoint
// also takes the image's CMD away.
func command(image *v1.ImageConfig, f *Flags) ([]string, error) {
	entry, cmd := Entrypoint(image, f), image.Cmd
	if f.Entrypoint != nil {
		cmd = nil
	}
	if len(f.Args) > 0 {
		cmd = f.Args
	}
	args := append(append([]string{}, entry...), cmd...)
	if len(args) == 0 {
		return nil, fault.New("name the command behind the image: rl run IMAGE COMMAND",
			"no command specified: the image has neither an entry point nor a default command")
	}
	return args, nil
}

// Entrypoint is what the arguments begin with: the user's entry point, or the image's.
func Entrypoint(image *v1.ImageConfig, f *Flags) []string {
	if f.Entrypoint != nil {
		return *f.Entrypoint
	}
	return image.Entrypoint
}

// Environment is what the image and the user ask, without the container's own.
func Environment(image *v1.ImageConfig, f *Flags) []string {
	return option.ApplyEnv(append(slices.Clone(f.HostEnv), image.Env...), f.Env)
}

// environment is docker's: the image's variables, the container's own, the
// user's, in this order, each name once. Those of --env-host come before all, as podman has it.
func environment(image *v1.ImageConfig, f *Flags, hostname, hosts string) []string {
	base := append([]string{}, f.HostEnv...)
	if !has(image.Env, "PATH") {
		base = append(base, defaultPath)
	}
	base = append(base, image.Env...)
	if hostname == "" {
		hostname = hosts
	}
	own := []option.Env{{Name: "HOSTNAME", Value: hostname}, {Name: "container", Value: "rl"}}
	if f.Terminal {
		own = append(own, option.Env{Name: "TERM", Value: "xterm"})
	}
	var all []option.Env
	for _, e := range own {
		if !has(image.Env, e.Name) {
			all = append(all, e)
		}
	}
	return option.ApplyEnv(base, append(all, f.Env...))
}

func has(env []string, name string) bool {
	for _, kv := range env {
		if n, _, _ := strings.Cut(kv, "="); n == name {
			return true
		}
	}
	return false
}
