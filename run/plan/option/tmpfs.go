package option

import (
	"slices"
	"strconv"
	"strings"
)

const tmpfsHint = "write /path, or /path:size=64m,mode=1777,exec"

// tmpfsWords are what may follow the colon of --tmpfs, for suggestions.
var tmpfsWords = []string{
	"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "atime",
	"noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "sync", "async", "defaults",
}

// tmpfsDefaults are docker's; the size is unlimited, which the kernel takes as
// half of the memory.
func tmpfsDefaults() []string { return []string{"nosuid", "nodev", "noexec"} }

// ParseTmpfs reads --tmpfs DESTINATION[:OPTIONS].
func ParseTmpfs(s string) (Mount, error) {
	const kind = "tmpfs"
	m := Mount{Type: Tmpfs, Options: tmpfsDefaults()}
	target, options, _ := strings.Cut(s, ":")
	if err := m.setTarget(kind, s, target, tmpfsHint); err != nil {
		return Mount{}, err
	}
	if options == "" {
		return m, nil
	}
	for _, o := range strings.Split(options, ",") {
		if err := m.tmpfsOption(s, o); err != nil {
			return Mount{}, err
		}
	}
	return m, nil
}

func (m *Mount) tmpfsOption(s, option string) error {
	const kind = "tmpfs"
	key, value, hasValue := strings.Cut(option, "=")
	if !hasValue {
		switch {
		case key == "ro" || key == "rw":
			m.ReadOnly = key == "ro"
		case key == "defaults" || key == "notmpcopyup":
		case flagGroup(key) != "":
			m.setFlag(key)
		case isPropagation(key):
			m.Propagation = key
		case key == "tmpcopyup":
			return bad(kind, s, "use a volume: -v "+plain(m.Target), "a tmpfs starts empty; filling it from the image is not supported")
		case key == "":
			return bad(kind, s, tmpfsHint, "nothing between the commas")
		case slices.Contains(tmpfsWords, key):
			return bad(kind, s, "write "+key+"=VALUE", key, " needs a value")
		default:
			return bad(kind, s, meant(key, tmpfsWords), "unknown option ", quote(key))
		}
		return nil
	}
	switch key {
	case "size":
		return m.tmpfsSize(kind, s, value)
	case "mode":
		return m.tmpfsMode(kind, s, value)
	case "uid", "gid":
		if _, ok := parseID(value); !ok {
			return bad(kind, s, "write a number", key, " is not an id: ", quote(value))
		}
		m.setData(key, value)
	case "nr_inodes", "nr_blocks":
		n, err := ParseSize(key, value)
		if err != nil {
			return bad(kind, s, "write a number", key, " is not a number: ", quote(value))
		}
		m.setData(key, strconv.FormatInt(n, 10))
	case "mpol":
		return bad(kind, s, "leave mpol out", "a memory policy is not supported")
	default:
		if slices.Contains(tmpfsWords, key) {
			return bad(kind, s, "write "+key, key, " takes no value")
		}
		return bad(kind, s, meant(key, tmpfsWords), "unknown option ", quote(key))
	}
	return nil
}

// tmpfsSize sets size=, in bytes or, as the kernel knows it, in percent of the memory.
func (m *Mount) tmpfsSize(kind, s, value string) error {
	if percent, ok := strings.CutSuffix(value, "%"); ok {
		n, ok := parseID(percent)
		if !ok || n > 100 {
			return bad(kind, s, "write a percentage of the memory from 0% to 100%", "not a size: ", quote(value))
		}
		m.setData("size", strconv.Itoa(n)+"%")
		return nil
	}
	n, err := ParseSize("size", value)
	if err != nil {
		return bad(kind, s, "write a number with a unit, as in 64m, or percent of the memory, as in 10%", "not a size: ", quote(value))
	}
	m.setData("size", strconv.FormatInt(n, 10))
	return nil
}

func (m *Mount) tmpfsMode(kind, s, value string) error {
	mode, ok := parseOctal(value)
	if !ok {
		return bad(kind, s, "write octal digits, as in 1777", "not a file mode: ", quote(value))
	}
	m.setData("mode", mode)
	return nil
}
