// Package hooks reads directories of hook configurations and chooses those that a container is
// to have: oci-hooks(5), version 1.0.0, as podman reads it.
package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/userns/sys/fault"
)

// Config is one file of such a directory.
type Config struct {
	Version string     `json:"version"`
	Hook    specs.Hook `json:"hook"`
	When    When       `json:"when"`
	Stages  []string   `json:"stages"`

	file string
}

// When says for which containers the hook is. All that is there must be so.
type When struct {
	Always        *bool             `json:"always,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"` // regular expressions of key and value; each must find one
	Commands      []string          `json:"commands,omitempty"`    // of which one matches the first argument
	HasBindMounts *bool             `json:"hasBindMounts,omitempty"`
}

const (
	version   = "1.0.0"
	maxConfig = 1 << 20
)

var stages = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// Read reads the files NAME.json of directories, in the order of their names. A later directory's
// file stands in place of an earlier one's of the same name. Errors name the file.
func Read(dirs []string) ([]Config, error) {
	byName := map[string]Config{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("--hooks-dir: %w", err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".json") {
				continue
			}
			path := filepath.Join(dir, e.Name())
			c, err := readFile(path)
			if err != nil {
				return nil, fault.New("correct the file, or leave --hooks-dir away", "hook configuration %s: %w", path, err)
			}
			byName[e.Name()] = c
		}
	}
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []Config
	for _, name := range names {
		list = append(list, byName[name])
	}
	return list, nil
}

func readFile(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(data)
	if err == nil {
		_, err = os.Stat(c.Hook.Path)
		// The path of one that runs in the container is the container's.
		if slices.Equal(c.Stages, []string{"startContainer"}) {
			err = nil
		}
	}
	c.file = path
	return c, err
}

// Parse reads one configuration.
func Parse(data []byte) (c Config, err error) {
	var v struct{ Version string }
	if err := json.Unmarshal(data, &v); err != nil {
		return c, err
	}
	if v.Version != version {
		return c, fmt.Errorf("its version is %q, and %s is known", v.Version, version)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	return c, c.check()
}

func (c *Config) check() error {
	switch {
	case !filepath.IsAbs(c.Hook.Path):
		return fmt.Errorf("hook.path %q is not absolute", c.Hook.Path)
	case c.Hook.Timeout != nil && *c.Hook.Timeout <= 0:
		return fmt.Errorf("hook.timeout is %d, not a number of seconds", *c.Hook.Timeout)
	case len(c.Stages) == 0:
		return errors.New("stages: there is none")
	}
	for _, s := range c.Stages {
		if !slices.Contains(stages, s) {
			return fmt.Errorf("stage %q: not one of %s", s, strings.Join(stages, ", "))
		}
	}
	var texts []string
	for k, v := range c.When.Annotations {
		texts = append(texts, k, v)
	}
	for _, text := range append(texts, c.When.Commands...) {
		if _, err := regexp.Compile(text); err != nil {
			return fmt.Errorf("when: %w", err)
		}
	}
	return nil
}

// Select gives the hooks that the container of a spec has, nil for none.
func Select(list []Config, spec *specs.Spec, binds bool) *specs.Hooks {
	h := new(specs.Hooks)
	found := false
	for _, c := range list {
		if !c.When.matches(spec, binds) {
			continue
		}
		found = true
		for _, stage := range c.Stages {
			into := map[string]*[]specs.Hook{
				//lint:ignore SA1019 there are such hooks
				"prestart":      &h.Prestart,
				"createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer,
				"startContainer": &h.StartContainer, "poststart": &h.Poststart, "poststop": &h.Poststop,
			}[stage]
			*into = append(*into, c.Hook)
		}
	}
	if !found {
		return nil
	}
	return h
}

func (w *When) matches(spec *specs.Spec, binds bool) bool {
	asked := false
	for _, c := range []struct {
		want *bool
		is   bool
	}{{w.Always, true}, {w.HasBindMounts, binds}} {
		if c.want == nil {
			continue
		}
		if *c.want != c.is {
			return false
		}
		asked = true
	}
	for key, value := range w.Annotations {
		if !annotated(spec.Annotations, key, value) {
			return false
		}
		asked = true
	}
	if len(w.Commands) == 0 {
		return asked
	}
	return spec.Process != nil && len(spec.Process.Args) > 0 && slices.ContainsFunc(w.Commands, func(re string) bool {
		return regexp.MustCompile(re).MatchString(spec.Process.Args[0])
	})
}

func annotated(all map[string]string, key, value string) bool {
	k, v := regexp.MustCompile(key), regexp.MustCompile(value)
	for name, text := range all {
		if k.MatchString(name) && v.MatchString(text) {
			return true
		}
	}
	return false
}
