package cli

import (
	"fmt"
	"maps"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"rl/run/plan/option"
)

// values check settings whose text must be one of a few.
var values = map[string]func(string) error{
	"run.pull":    func(s string) error { _, err := option.ParsePull(s); return err },
	"run.network": func(s string) error { _, err := option.ParseNetworks([]string{s}); return err },
	"run.userns":  func(s string) error { _, err := option.ParseUserns(s); return err },
	"run.pid":     func(s string) error { _, err := option.ParsePid(s); return err },
	"run.ipc":     func(s string) error { _, err := option.ParseIPC(s); return err },
	"run.uts":     func(s string) error { _, err := option.ParseUTS(s); return err },
}

// checkConfig finds what is wrong in a configuration file: its syntax, and keys
// that are no setting, which kong would pass over.
func checkConfig(data []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return checkMapping(doc.Content[0], reflect.TypeFor[grammar](), "")
}

func checkMapping(n *yaml.Node, t reflect.Type, prefix string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: expected \"setting: value\"", n.Line)
	}
	flags, verbs := settings(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if verb, ok := verbs[key.Value]; ok {
			if err := checkMapping(value, verb, key.Value+"."); err != nil {
				return err
			}
			continue
		}
		kind, ok := flags[key.Value]
		if !ok {
			var names []string
			for name := range flags {
				names = append(names, name)
			}
			hint := ""
			if near := option.Nearest(key.Value, names); near != "" {
				hint = fmt.Sprintf(", did you mean %q?", near)
			}
			return fmt.Errorf("line %d: unknown setting %q%s", key.Line, prefix+key.Value, hint)
		}
		err := checkValue(value, kind)
		if check, ok := values[prefix+key.Value]; ok && err == nil && value.Kind == yaml.ScalarNode {
			err = check(value.Value)
		}
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", value.Line, prefix+key.Value, err)
		}
	}
	return nil
}

func checkValue(n *yaml.Node, t reflect.Type) error {
	v := reflect.New(t)
	if n.Kind == yaml.ScalarNode && t.Kind() == reflect.Slice {
		return nil
	}
	if err := n.Decode(v.Interface()); err != nil {
		words := map[reflect.Kind]string{reflect.Int: "a number", reflect.Bool: "true or false", reflect.Slice: "a list", reflect.String: "text"}
		return fmt.Errorf("%q is not %s", n.Value, words[t.Kind()])
	}
	return nil
}

// settings lists the flags and verbs of a grammar's struct by name.
func settings(t reflect.Type) (flags, verbs map[string]reflect.Type) {
	flags, verbs = map[string]reflect.Type{}, map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := settingName(f)
		_, cmd := f.Tag.Lookup("cmd")
		_, arg := f.Tag.Lookup("arg")
		_, embed := f.Tag.Lookup("embed")
		switch {
		case embed || f.Anonymous:
			more, innerVerbs := settings(f.Type)
			maps.Copy(flags, more)
			maps.Copy(verbs, innerVerbs)
		case cmd:
			verbs[name] = f.Type
		case !arg && f.IsExported():
			flags[name] = f.Type
		}
	}
	return flags, verbs
}

// settingName is what a field is called on the command line.
func settingName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	return kebab(f.Name)
}

// kebab is kong's name for a field: AddHost is add-host.
func kebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r >= 'A' && r <= 'Z' {
			if i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z') {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
