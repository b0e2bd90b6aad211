package option

import (
	"path"
	"strings"
)

// Device is --device: a device of the host, or a directory of them.
type Device struct {
	Host        string // absolute, clean
	Container   string // absolute, clean
	Permissions string // some of r, w, m, for the device cgroup
}

// ParseDevice reads HOST[:CONTAINER][:PERMISSIONS].
func ParseDevice(s string) (Device, error) {
	const kind = "device"
	const hint = "write /dev/NAME[:/dev/NAME][:rwm]"
	parts := strings.Split(s, ":")
	d := Device{Host: parts[0], Container: parts[0], Permissions: "rwm"}
	switch {
	case !strings.HasPrefix(s, "/") && strings.Contains(s, "="):
		return Device{}, bad(kind, s, hint, "CDI devices are not supported")
	case len(parts) > 3:
		return Device{}, bad(kind, s, hint, "too many colons")
	case len(parts) == 3:
		d.Container, d.Permissions = parts[1], parts[2]
	case len(parts) == 2 && strings.HasPrefix(parts[1], "/"):
		d.Container = parts[1]
	case len(parts) == 2:
		d.Permissions = parts[1]
	}
	for _, p := range [...]string{d.Host, d.Container} {
		if !strings.HasPrefix(p, "/") || hasNUL(p) {
			return Device{}, bad(kind, s, hint, quote(p), " is not an absolute path")
		}
	}
	if !isDeviceMode(d.Permissions) {
		return Device{}, bad(kind, s, hint, "permissions are some of r, w and m, each once: ", quote(d.Permissions))
	}
	d.Host, d.Container = path.Clean(d.Host), path.Clean(d.Container)
	if d.Container == "/" || d.Host == "/" {
		return Device{}, bad(kind, s, hint, "the root directory is not a device")
	}
	return d, nil
}

func isDeviceMode(s string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("rwm", s[i]) < 0 || strings.IndexByte(s[i+1:], s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}
