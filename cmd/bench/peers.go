package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"rl/cmd/rl/harness"
)

type bench struct {
	o    options
	home string
	reg  *harness.Registry
	refs map[string]string // image → reference

	rootfs string // the debian image unpacked, for those who take no images
	bundle string // the same as an OCI bundle
	podman bool

	starts     []figure
	runs       []figure // seconds for 32 in parallel
	pulls      []figure // one layer
	pulls6     []figure // six layers
	versions   []figure
	nets       []*row
	setUps     []figure
	monitors   monitors
	trees      []*row
	treeFiles  int
	lives      lives
	init       float64 // ms
	bytes      int64
	versionsOf []string
}

const atOnce = 32

func has(program string) bool { _, err := exec.LookPath(program); return err == nil }

func newBench(home string, o options) (*bench, error) {
	b := &bench{o: o, home: home, refs: map[string]string{}}
	var err error
	if b.reg, err = harness.StartRegistry(filepath.Join(home, "registry")); err != nil {
		return nil, err
	}
	if !b.reg.Real {
		return nil, errors.Join(b.close(), errors.New("docker-registry is not installed"))
	}
	for _, image := range o.images() {
		dir, err := harness.Layout(image)
		if err != nil {
			return nil, errors.Join(b.close(), err)
		}
		img, err := harness.ReadLayout(dir)
		if err != nil {
			return nil, errors.Join(b.close(), err)
		}
		b.refs[image] = b.reg.Host + "/" + image + ":latest"
		if err := harness.Push(b.refs[image], img); err != nil {
			return nil, errors.Join(b.close(), err)
		}
	}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(b.close(), err)
	}
	return b, nil
}

func (b *bench) close() error {
	if b.podman { // it leaves a process that holds its namespaces
		_, _ = output("podman", "system", "migrate")
	}
	b.reg.Stop()
	return nil
}

// prepare gives every peer the same image, warm, in the way that is fastest for
// it: podman kernel overlayfs rather than the vfs driver it would choose here,
// crun and runc an unpacked bundle, bwrap and ch-run its root filesystem.
func (b *bench) prepare() error {
	os.Setenv("RL_ROOT", filepath.Join(b.home, "rl"))
	if _, err := output(b.o.rl, "pull", b.refs["debian"]); err != nil {
		return err
	}
	b.note(b.o.rl, "version")
	if has("podman") {
		b.podman = true
		conf := filepath.Join(b.home, ".config", "containers")
		if err := os.MkdirAll(conf, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(conf, "storage.conf"), []byte("[storage]\ndriver = \"overlay\"\n"), 0o644); err != nil {
			return err
		}
		if _, err := output("podman", "pull", "-q", "--tls-verify=false", b.refs["debian"]); err != nil {
			return err
		}
		b.note("podman", "--version")
	}
	b.bundle = filepath.Join(b.home, "bundle")
	b.rootfs = filepath.Join(b.bundle, "rootfs")
	if err := os.MkdirAll(b.rootfs, 0o755); err != nil {
		return err
	}
	layer, err := harness.Layer("debian")
	if err != nil {
		return err
	}
	if _, err := output("unshare", "--user", "--map-auto", "--map-root-user",
		"tar", "-C", b.rootfs, "--exclude=./dev/*", "-xzf", layer); err != nil {
		return err
	}
	if has("crun") || has("runc") {
		if err := b.spec(); err != nil {
			return err
		}
	}
	for _, p := range [][]string{{"crun", "--version"}, {"runc", "--version"}, {"bwrap", "--version"},
		{"ch-run", "--version"}, {"skopeo", "--version"}, {"umoci", "--version"}} {
		if has(p[0]) {
			b.note(p...)
		}
	}
	return nil
}

// note keeps the first line of what a program says of its version.
func (b *bench) note(args ...string) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		out = []byte(err.Error())
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if name := filepath.Base(args[0]); !strings.HasPrefix(line, name) {
		line = name + " " + line
	}
	b.versionsOf = append(b.versionsOf, line)
}

// spec writes the bundle's config.json: runc's own default for ordinary users,
// running true, with subordinate ids.
func (b *bench) spec() error {
	maker := "crun"
	if !has(maker) {
		maker = "runc"
	}
	cmd := exec.Command(maker, "spec", "--rootless")
	cmd.Dir = b.bundle
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s spec: %w: %s", maker, err, out)
	}
	file := filepath.Join(b.bundle, "config.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(raw, &spec); err != nil {
		return err
	}
	process, _ := spec["process"].(map[string]any)
	linux, _ := spec["linux"].(map[string]any)
	if process == nil || linux == nil {
		return fmt.Errorf("%s spec wrote a config.json without process or linux", maker)
	}
	process["terminal"], process["args"] = false, []string{"true"}
	for key, m := range map[string]struct {
		file string
		own  int
	}{"uidMappings": {"/etc/subuid", os.Getuid()}, "gidMappings": {"/etc/subgid", os.Getgid()}} {
		start, size, err := subordinate(m.file)
		if err != nil {
			return err
		}
		linux[key] = []map[string]int{
			{"containerID": 0, "hostID": m.own, "size": 1},
			{"containerID": 1, "hostID": start, "size": size},
		}
	}
	if raw, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o644)
}

func subordinate(file string) (start, size int, err error) {
	me, err := user.Current()
	if err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && (f[0] == me.Username || f[0] == me.Uid) {
			start, err = strconv.Atoi(f[1])
			if err != nil {
				return 0, 0, err
			}
			size, err = strconv.Atoi(f[2])
			return start, size, err
		}
	}
	return 0, 0, fmt.Errorf("%s has no range for %s", file, me.Username)
}

// output runs a command of the preparation; what it said is part of the error.
func output(args ...string) (string, error) {
	cmd, cancel := command(patient, args...)
	defer cancel()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out), nil
}
