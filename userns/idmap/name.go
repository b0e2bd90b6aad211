package idmap

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// SingleName is the name of every map with one user and one group. Layers
// unpacked under such a map keep their owners in extended attributes, so who
// the one user is outside makes no difference to them.
const SingleName = "single"

// maxName keeps names short enough to read in a path.
const maxName = 80

// Name is a short name for the map, safe as a directory's: layers unpacked
// under different maps lie in different directories, because the owners on
// disk differ. Equal pairs of ids give equal names, different ones different
// names, except that every single-id map is [SingleName].
//
//	u1000-100000x65536           0 is 1000, 1.. are 100000..; groups alike
//	u1000-100000x65536-g100      the same users, but one group only
//	u0x4294967295                every id is itself
//	u1000_1000                   container id 1000 is 1000, and there is no 0
//
// A range that does not continue the one before begins with its container id
// and an underscore. Long names are cut, with a hash of the whole in place of the end.
func (m Map) Name() string {
	if m.UIDs.Size() == 1 && m.GIDs.Size() == 1 {
		return SingleName
	}
	users, groups := nameOf(m.UIDs), nameOf(m.GIDs)
	name := "u" + users
	if users != groups {
		name += "-g" + groups
	}
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxName/2] + "-h" + hex.EncodeToString(sum[:16])
}

func nameOf(r Ranges) string {
	var b []byte
	next := uint64(0)
	for i, l := range tidy(r) {
		if i > 0 {
			b = append(b, '-')
		}
		if uint64(l.Container) != next {
			b = strconv.AppendUint(b, uint64(l.Container), 10)
			b = append(b, '_')
		}
		b = strconv.AppendUint(b, uint64(l.Host), 10)
		if l.Size != 1 {
			b = append(b, 'x')
			b = strconv.AppendUint(b, uint64(l.Size), 10)
		}
		next = end(l.Container, l.Size)
	}
	return string(b)
}
