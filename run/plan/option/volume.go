package option

import (
	"slices"
	"strings"
)

const volumeHint = "write SOURCE:DESTINATION[:OPTIONS], the destination beginning with /"

// volumeWords are what may follow the second colon of -v, for suggestions.
var volumeWords = []string{
	"ro", "rw", "z", "Z", "nocopy", "bind", "rbind", "cached", "delegated", "consistent", "private", "rprivate", "shared",
	"rshared", "slave", "rslave", "suid", "nosuid", "dev", "nodev", "exec", "noexec",
}

// ParseVolume reads -v [SOURCE:]DESTINATION[:OPTIONS]. A source that begins with
// / or . is a path on the host, any other the name of a volume, none an
// anonymous volume. Options are docker's (ro, rw, nocopy, a propagation, and z,
// Z, cached, delegated and consistent, which do nothing here) and podman's bind,
// rbind, exec, suid and dev with their opposites.
func ParseVolume(s string) (Mount, error) {
	const kind = "volume"
	m := Mount{Type: Volume}
	if s == "" {
		return Mount{}, bad(kind, s, volumeHint, "nothing there")
	}
	parts := strings.Split(s, ":")
	for _, p := range parts {
		if p == "" {
			return Mount{}, bad(kind, s, volumeHint, "nothing between the colons")
		}
	}
	source, target, options := "", parts[0], ""
	switch len(parts) {
	case 1:
	case 2:
		source, target = parts[0], parts[1]
		if !strings.HasPrefix(target, "/") && isVolumeOptions(target) {
			return Mount{}, bad(kind, s, volumeHint, "a source and options, but no destination")
		}
	case 3:
		source, target, options = parts[0], parts[1], parts[2]
	default:
		return Mount{}, bad(kind, s, "for a path with a colon use --mount type=bind,src=…,dst=…", "too many colons")
	}

	var err error
	switch {
	case source == "":
	case source[0] == '/' || source[0] == '.' || source[0] == '~':
		m.Type, m.Recursive = Bind, true
		err = m.setBindSource(kind, s, source)
	default:
		err = m.setVolumeName(kind, s, source)
	}
	if err != nil {
		return Mount{}, err
	}
	if err := m.setTarget(kind, s, target, volumeHint); err != nil {
		return Mount{}, err
	}
	if options != "" {
		if err := m.volumeOptions(s, options); err != nil {
			return Mount{}, err
		}
	}
	return m, nil
}

func isVolumeOptions(s string) bool {
	for _, w := range strings.Split(s, ",") {
		if !slices.Contains(volumeWords, w) {
			return false
		}
	}
	return true
}

func (m *Mount) volumeOptions(s, options string) error {
	const kind = "volume"
	said := map[string]string{} // what each option is about, and which word said it
	for _, word := range strings.Split(options, ",") {
		if strings.HasPrefix(word, "idmap") || strings.HasPrefix(word, "upperdir=") {
			word, _, _ = strings.Cut(word, "=")
		}
		about := word
		switch {
		case word == "ro" || word == "rw":
			about = "writing"
			m.ReadOnly = word == "ro"
		case isPropagation(word):
			about = "propagation"
			if m.Type != Bind {
				return bad(kind, s, "", "only a directory of the host has a propagation, not a volume")
			}
			m.Propagation = word
		case word == "z" || word == "Z":
			about = "label"
			m.notice("volume option " + word + " has no effect: rl does not set SELinux labels")
		case word == "cached" || word == "delegated" || word == "consistent":
			about = "consistency"
		case word == "nocopy":
			if m.Type != Volume {
				return bad(kind, s, "leave nocopy out", "only a volume is filled from the image, a directory of the host never is")
			}
			m.NoCopy = true
		case word == "bind" || word == "rbind":
			about = "recursion"
			if m.Type != Bind {
				return bad(kind, s, "", word, " needs a directory of the host, not a volume")
			}
			m.Recursive = word == "rbind"
		case slices.Contains(volumeWords, word): // suid, dev, exec and their opposites
			about = flagGroup(word)
			m.setFlag(word)
		case word == "U":
			return bad(kind, s, "chown the source, or run with --userns=keep-id", "option U (changing the owner of the source) is not supported")
		case word == "O" || word == "upperdir" || word == "workdir":
			return bad(kind, s, "use ro, or copy the directory", "option O (an overlay over the source) is not supported")
		case word == "idmap":
			return bad(kind, s, "leave idmap out", "id-mapped mounts need root on the host")
		default:
			return bad(kind, s, meant(word, volumeWords), "unknown option ", quote(word))
		}
		if before, ok := said[about]; ok && before != word {
			return bad(kind, s, "keep one of them", before, " and ", word, " contradict each other")
		}
		said[about] = word
	}
	return nil
}
