package probe

import (
	"bytes"
	"fmt"
	"strings"

	"rl/userns/idmap"
)

// subIDs is what the caller was given of subordinate ids, and where that was read.
type subIDs struct {
	spans []idmap.Span
	from  string // "/etc/subuid", "getsubids"
	err   error  // why it could not be read
}

// SubUIDs are the subordinate user ids given to the caller, and the place they
// come from. No ids and no error: nobody gave any.
func (f *Facts) SubUIDs() (ids []idmap.Span, from string, err error) {
	s := f.subUIDs.get(func() subIDs { return f.findSubIDs("/etc/subuid") })
	return s.spans, s.from, s.err
}

// SubGIDs are the subordinate group ids given to the caller.
func (f *Facts) SubGIDs() (ids []idmap.Span, from string, err error) {
	s := f.subGIDs.get(func() subIDs { return f.findSubIDs("/etc/subgid", "-g") })
	return s.spans, s.from, s.err
}

// findSubIDs asks as shadow does (lib/nss.c): when /etc/nsswitch.conf names a
// module for "subid", then that is asked and the file means nothing. The module
// is a C library; the program getsubids is the way to it.
func (f *Facts) findSubIDs(file string, flags ...string) subIDs {
	if module := f.subidModule(); module != "" {
		return f.askGetsubids(module, flags)
	}
	s := subIDs{from: file}
	b, err := f.h.ReadFile(file)
	if err != nil {
		if !isMissing(err) {
			s.err = err
		}
		return s
	}
	s.spans, s.err = idmap.ParseSub(bytes.NewReader(b), file, f.User(), uint32(f.UID()))
	return s
}

// subidModule is the NSS module that /etc/nsswitch.conf names for subordinate
// ids, or "" for the files.
func (f *Facts) subidModule() string {
	return f.nssSubid.get(func() string {
		b, _ := f.h.ReadFile("/etc/nsswitch.conf")
		for line := range bytes.Lines(b) {
			rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("subid:"))
			if w := strings.Fields(string(rest)); ok && len(w) > 0 && w[0] != "files" {
				return w[0]
			}
		}
		return ""
	})
}

// askGetsubids runs shadow's getsubids, which prints "0: NAME 100000 65536".
// It exits 1 both for "none" and for a module that failed.
func (f *Facts) askGetsubids(module string, flags []string) subIDs {
	s := subIDs{from: "getsubids (" + module + ")"}
	path, ok := f.lookPath("getsubids")
	if !ok {
		s.err = fmt.Errorf("/etc/nsswitch.conf takes them from %q, and getsubids is not installed to ask it", module)
		return s
	}
	out, err := f.h.Run(path, append(flags, f.User())...)
	if err != nil {
		s.err = fmt.Errorf("getsubids has none from %q: %w", module, err)
		return s
	}
	s.spans, s.err = idmap.ParseGetsubids(strings.NewReader(out))
	return s
}
