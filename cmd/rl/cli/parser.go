package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	kongyaml "github.com/alecthomas/kong-yaml"

	"rl/userns/sys/fault"
)

const description = `Containers for people who have no root: one file, no daemon, nothing to install.`

// parserFor is a parser of the verb with that name alone, which is built in a third of the
// time and memory: each command line pays for it. Where no verb has the name, as where a
// setting comes first, it is the parser of all.
func parserFor(g *grammar, name string, stdio Stdio) (*kong.Kong, error) {
	if f, there := verb(reflect.ValueOf(g).Elem(), name); there {
		return newParser(&g.Global, stdio, kong.DynamicCommand(name, f.help, "", f.command))
	}
	return newParser(g, stdio)
}

// found is a verb of a grammar.
type found struct {
	help    string
	command any // pointer to its struct
}

// verb finds one by its name.
func verb(grammar reflect.Value, name string) (found, bool) {
	for i := range grammar.NumField() {
		f := grammar.Type().Field(i)
		if _, is := f.Tag.Lookup("cmd"); is && settingName(f) == name {
			return found{f.Tag.Get("help"), grammar.Field(i).Addr().Interface()}, true
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if v, there := verb(grammar.Field(i), name); there {
				return v, true
			}
		}
	}
	return found{}, false
}

// newParser builds a grammar, with the configuration files behind it.
func newParser(g any, stdio Stdio, options ...kong.Option) (*kong.Kong, error) {
	options = append(options,
		kong.Name("rl"), kong.Description(description), kong.NoDefaultHelp(),
		kong.Writers(stdio.Out, stdio.Err), kong.Exit(func(int) {}),
		kong.WithHyphenPrefixedParameters(true), // -t -1, as docker takes it
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoExpandSubcommands: true}),
		kong.ExplicitGroups([]kong.Group{}),
	)
	for _, path := range configFiles() {
		resolver, err := readConfig(path)
		if err != nil {
			return nil, err
		}
		if resolver != nil {
			options = append(options, kong.Resolvers(resolver))
		}
	}
	return kong.New(g, options...)
}

// configFiles are the configuration files, the stronger first.
func configFiles() []string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".config")
	}
	files := []string{filepath.Join(dir, "rl", "config.yaml"), "/etc/rl/config.yaml"}
	if f := os.Getenv("RL_CONFIG"); f != "" {
		files[0] = f
	}
	return files
}

// readConfig reads one file; one that is not there says nothing. The keys are
// the names of flags: "insecure-registry: [localhost:5001]", and of a verb's own
// flags below its name: "run: {init: true}".
func readConfig(path string) (kong.Resolver, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if err := checkConfig(data); err != nil {
		return nil, fault.New("correct the file, or move it away", "configuration file %s: %w", path, err)
	}
	return kongyaml.Loader(strings.NewReader(string(data)))
}
