package option

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Log is --log-driver and --log-opt.
type Log struct {
	Driver      string   `json:",omitempty"` // json-file, journald, none or passthrough; "" was not asked
	MaxSize     int64    `json:",omitempty"` // bytes of a file; 0: it grows for ever
	MaxFile     int      `json:",omitempty"` // files that are kept; 0 is 1
	Compress    bool     `json:",omitempty"` // all but the newest
	Tag         string   `json:",omitempty"` // a template
	Labels, Env []string `json:",omitempty"` // those that go with each line
	LabelsRegex string   `json:",omitempty"`
	EnvRegex    string   `json:",omitempty"`
}

var logDrivers = [...]string{"json-file", "journald", "none", "passthrough"}

// ParseLog reads them. The options are docker's for each driver, sizes are powers of 1000.
func ParseLog(driver string, opts []string) (l Log, err error) {
	const kind, optKind = "--log-driver", "--log-opt"
	known := []string{"max-size", "max-file", "compress", "tag", "labels", "labels-regex", "env", "env-regex"}
	switch l.Driver = driver; driver {
	case "", "json-file":
	case "journald":
		known = known[3:]
	case "none", "passthrough":
		known = nil
	case "k8s-file", "local":
		return l, bad(kind, driver, "json-file is read by rl logs, and by others", "rl does not write that format")
	default:
		return l, bad(kind, driver, meant(driver, logDrivers[:]), "no such driver")
	}
	for _, o := range opts {
		key, value, ok := strings.Cut(o, "=")
		if !ok {
			return l, bad(optKind, o, "write NAME=VALUE", "no value")
		}
		if !slices.Contains(known, key) {
			if len(known) == 0 {
				return l, bad(optKind, o, "leave it away", "the driver "+driver+" takes no options")
			}
			return l, bad(optKind, o, meant(key, known), "no such option")
		}
		if err := l.set(key, value, o); err != nil {
			return l, err
		}
	}
	if l.MaxFile > 1 && l.MaxSize == 0 {
		return l, bad(optKind, "max-file="+strconv.Itoa(l.MaxFile), "add --log-opt max-size=10m", "without max-size there is one file")
	}
	if l.Compress && l.MaxFile < 2 {
		return l, bad(optKind, "compress=true", "add --log-opt max-size=10m --log-opt max-file=3", "with one file there is nothing to compress")
	}
	return l, nil
}

func (l *Log) set(key, value, o string) (err error) {
	const kind = "--log-opt"
	switch key {
	case "max-size":
		if l.MaxSize, err = humanSize(value); err != nil || l.MaxSize <= 0 {
			return bad(kind, o, "write a number with an optional unit, as in 10m", "not a size above 0")
		}
	case "max-file":
		if l.MaxFile, err = strconv.Atoi(value); err != nil || l.MaxFile < 1 || l.MaxFile > 1000 {
			return bad(kind, o, "write a number from 1 to 1000", "not a number of files")
		}
	case "compress":
		var ok bool
		if l.Compress, ok = isBool(value); !ok {
			return bad(kind, o, "write true or false", "neither true nor false")
		}
	case "tag":
		l.Tag = value
	case "labels":
		l.Labels = strings.Split(value, ",")
	case "env":
		l.Env = strings.Split(value, ",")
	default:
		if _, err := regexp.Compile(value); err != nil {
			return bad(kind, o, "see the Go package regexp", "not a regular expression")
		}
		if key == "env-regex" {
			l.EnvRegex = value
		} else {
			l.LabelsRegex = value
		}
	}
	return nil
}

// humanSize reads a size as docker reads that of a log: k, m and g are powers of 1000.
func humanSize(s string) (int64, error) {
	number := strings.TrimRight(strings.ToLower(s), "bi")
	unit := 1.0
	for i, u := range "kmgt" {
		if n, ok := strings.CutSuffix(number, string(u)); ok {
			number = n
			for range i + 1 {
				unit *= 1000
			}
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v*unit >= 1<<62 {
		return 0, strconv.ErrRange
	}
	return int64(v * unit), nil
}

// Options are those of --log-opt, by docker's names.
func (l *Log) Options() map[string]string {
	m := map[string]string{}
	for key, value := range map[string]string{"tag": l.Tag, "labels": strings.Join(l.Labels, ","), "labels-regex": l.LabelsRegex,
		"env": strings.Join(l.Env, ","), "env-regex": l.EnvRegex} {
		if value != "" {
			m[key] = value
		}
	}
	if l.MaxSize > 0 {
		m["max-size"] = shortSize(l.MaxSize)
	}
	if l.MaxFile > 0 {
		m["max-file"] = strconv.Itoa(l.MaxFile)
	}
	if l.Compress {
		m["compress"] = "true"
	}
	return m
}

// shortSize writes a size as humanSize reads it.
func shortSize(n int64) string {
	unit := ""
	for _, u := range []string{"k", "m", "g", "t"} {
		if n%1000 != 0 {
			break
		}
		n, unit = n/1000, u
	}
	return strconv.FormatInt(n, 10) + unit
}
