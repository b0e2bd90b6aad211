package probe

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"rl/userns/idmap"
)

// EnoughIDs is how many ids a container must have for the users of common
// images to exist: 0 to 65534 ("nobody").
const EnoughIDs = 65535

// Identity chooses who the container's users are.
//
//	straight     the ids of this user namespace as they are: for root, and inside a container
//	subordinate  0 is the caller, the rest are ids an administrator gave, written by newuidmap
//	single       0 is the caller and nobody else exists; a seccomp filter plays the others
//
// pin is the value of --userns: "" or "auto", "straight" or "host", "subids",
// "single". "keep-id" is not a rung but a way of numbering, and climbs as auto
// does.
//
// It costs a few reads of /proc and /etc. Whether user namespaces work at all
// is not asked: creating one tells, and then [Facts.UsernsError] says why not.
func Identity(f *Facts, pin string) (Choice, error) {
	c := Choice{Ladder: "identity"}
	switch pin {
	case "", "auto", "keep-id":
		if f.straight(&c) || f.subordinate(&c) {
			return c, nil
		}
		c.Rung = Single
		c.Reason = fmt.Sprintf("only uid %d and gid %d are at hand; other users are played by a seccomp filter", f.UID(), f.GID())
		return c, nil
	case "straight", "host":
		if !f.straight(&c) {
			return c, c.pinned("--userns " + pin)
		}
	case "subids", "subordinate":
		if !f.subordinate(&c) {
			return c, c.pinned("--userns " + pin)
		}
	case "single":
		c.Rung, c.Reason = Single, "asked for"
	default:
		return c, badPin("--userns", pin, "auto", "straight", "subids", "single", "keep-id")
	}
	return c, nil
}

// straight takes the first rung, or says why it was missed.
//
// Writing more than one's own id into a map takes CAP_SETUID (CAP_SETGID) in
// the namespace above, and since Linux 5.12 (db2e718a4798) CAP_SETFCAP for its
// uid 0.
func (f *Facts) straight(c *Choice) bool {
	for _, need := range []int{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETFCAP} {
		if !f.HasCap(need) {
			if f.UID() != 0 {
				c.miss(Straight, "uid "+strconv.Itoa(f.UID())+" may map only itself", "")
			} else {
				c.miss(Straight, "root here does not hold "+capName(need), "let the outer container keep it: --cap-add "+capName(need)[4:])
			}
			return false
		}
	}
	uids, err := f.UIDs()
	if err == nil {
		var gids idmap.Ranges
		if gids, err = f.GIDs(); err == nil {
			n := min(fromZero(uids), fromZero(gids))
			if n >= EnoughIDs && f.Setgroups() {
				c.Rung = Straight
				c.Reason = "the caller may map all ids, and 0-" + strconv.FormatUint(n-1, 10) + " exist here"
				return true
			}
			if n < EnoughIDs {
				c.miss(Straight, fmt.Sprintf("this user namespace has only %s of 65536", plural(n, "id")),
					"give the outer container more ids: 65536 of them")
			} else {
				c.miss(Straight, "setgroups is denied in this user namespace", "")
			}
			return false
		}
	}
	c.miss(Straight, "the id map of this user namespace cannot be read: "+err.Error(), "mount /proc")
	return false
}

// subordinate takes the second rung, or says why it was missed. The reasons
// come in the order in which an administrator would meet them.
func (f *Facts) subordinate(c *Choice) bool {
	uids, from, err := f.SubUIDs()
	if !f.givenIDs(c, "user", uids, from, err) {
		return false
	}
	gids, from, err := f.SubGIDs()
	if !f.givenIDs(c, "group", gids, from, err) {
		return false
	}
	for _, t := range []Tool{f.Newuidmap(), f.Newgidmap()} {
		if !t.Usable() {
			c.miss(Subordinate, t.Problem, t.Remedy)
			return false
		}
	}
	if !f.Setgroups() {
		c.miss(Subordinate, "setgroups is denied in this user namespace", "")
		return false
	}
	c.Rung = Subordinate
	c.Reason = f.User() + " has " + strconv.FormatUint(total(uids), 10) + " subordinate user ids and " +
		strconv.FormatUint(total(gids), 10) + " group ids"
	return true
}

// givenIDs reports whether subordinate ids of one kind are there, enough, and
// real in this user namespace.
func (f *Facts) givenIDs(c *Choice, kind string, ids []idmap.Span, from string, err error) bool {
	if err != nil {
		c.miss(Subordinate, fmt.Sprintf("subordinate %s ids cannot be read: %v", kind, err), f.subidRemedy())
		return false
	}
	if len(ids) == 0 {
		c.miss(Subordinate, fmt.Sprintf("%s gives %s no subordinate %s ids", from, f.User(), kind), f.subidRemedy())
		return false
	}
	if n := total(ids) + 1; n < EnoughIDs { // and the caller's own
		c.miss(Subordinate, fmt.Sprintf("%s gives %s only %d subordinate %s ids; images use ids up to 65534", from, f.User(), n-1, kind), f.subidRemedy())
		return false
	}
	have, err := f.UIDs()
	if kind == "group" {
		have, err = f.GIDs()
	}
	for _, s := range ids {
		if err == nil && !covered(s, have) {
			c.miss(Subordinate, fmt.Sprintf("subordinate %s ids %s of %s do not exist in this user namespace", kind, spanText(s), from),
				"give the outer container more ids, or put ranges that exist in it into "+from)
			return false
		}
	}
	return true
}

// subidRemedy is the line that gives the caller a free range of ids. With a
// directory service the line belongs to its administrator.
func (f *Facts) subidRemedy() string {
	if m := f.subidModule(); m != "" {
		return "ask the administrator of " + m + " for subordinate ids for " + f.User()
	}
	if f.inUserns() {
		return "give the outer container more ids: 65536 of them"
	}
	var used []idmap.Span
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		b, _ := f.h.ReadFile(file)
		used = append(used, granted(string(b))...)
	}
	s, ok := freeSpan(used, 100000, 65536)
	if !ok {
		return ""
	}
	return fmt.Sprintf("usermod --add-subuids %s --add-subgids %s %s", spanText(s), spanText(s), f.User())
}

// inUserns reports whether the caller is in a user namespace that does not
// have all ids: giving subordinate ones would not help there.
func (f *Facts) inUserns() bool {
	rs, err := f.UIDs()
	return err == nil && fromZero(rs) < 100000+65536
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
