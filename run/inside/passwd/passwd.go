// Package passwd finds users and groups in the /etc/passwd and /etc/group of an
// image, as docker does: a number is always an id, the first line that fits
// wins, and membership comes from the member lists of /etc/group.
//
// The files belong to whoever made the image, so they may be anything: lines
// that make no sense are passed over, nothing is allocated in proportion to
// them, and no id outside 0..2147483647 and no NUL byte ever comes out. Whoever
// reads the files bounds their size and refuses fifos and devices.
//
// It imports nothing at all, for it runs in the init stage, whose start-up time
// every container pays. Asking NSS (LDAP, sssd) is not its business: inside the
// container the image's own files are the truth.
package passwd

// maxID is the largest id that docker takes, 1<<31 - 1. Larger ones read as
// negative numbers in programs that keep ids in an int32.
const maxID = 1<<31 - 1

// maxGroups is the kernel's NGROUPS_MAX: setgroups refuses longer lists.
const maxGroups = 65536

// FindUser finds a user by name or, when who is a number, by id. Home is ""
// when the line has none that is absolute. Ok is false when no line fits:
// docker then takes a number as it is (with gid 0 and home /), and refuses a name.
func FindUser(passwd []byte, who string) (uid, gid int, home string, ok bool) {
	want, numeric := ID(who)
	for len(passwd) > 0 {
		var line []byte
		line, passwd = nextLine(passwd)
		name, rest := field(line)
		_, rest = field(rest)
		uidText, rest := field(rest)
		gidText, rest := field(rest)
		_, rest = field(rest)
		homeText, _ := field(rest)

		uid, okUID := number(uidText)
		gid, okGID := number(gidText)
		switch {
		case len(name) == 0 || !okUID || !okGID || hasNUL(line):
			continue
		case numeric && uid != want, !numeric && string(name) != who:
			continue
		}
		if len(homeText) == 0 || homeText[0] != '/' {
			homeText = nil
		}
		return uid, gid, string(homeText), true
	}
	return 0, 0, "", false
}

// FindGroup finds a group by name or, when who is a number, by id. Ok is false
// when no line fits: docker then takes a number as it is, and refuses a name.
func FindGroup(group []byte, who string) (gid int, ok bool) {
	want, numeric := ID(who)
	for len(group) > 0 {
		var line []byte
		line, group = nextLine(group)
		name, gid, _, ok := groupLine(line)
		if ok && (numeric && gid == want || !numeric && string(name) == who) {
			return gid, true
		}
	}
	return 0, false
}

// Groups gives the ids of the groups that list the user as a member, in the
// order of the file, each once. The user's own group, which passwd tells, is
// among them only when the file lists the user there too.
func Groups(group []byte, user string) []int {
	if user == "" {
		return nil
	}
	var gids []int
	var seen map[int]bool // an image may list thousands
	for len(group) > 0 && len(gids) < maxGroups {
		var line []byte
		line, group = nextLine(group)
		_, gid, members, ok := groupLine(line)
		if !ok || !contains(members, user) || seen[gid] {
			continue
		}
		if seen == nil {
			seen = make(map[int]bool)
		}
		seen[gid] = true
		gids = append(gids, gid)
	}
	return gids
}

// ID reads a decimal id in 0..2147483647, and nothing but digits.
func ID(s string) (int, bool) { return number([]byte(s)) }

// groupLine splits name:password:gid:member,member.
func groupLine(line []byte) (name []byte, gid int, members []byte, ok bool) {
	name, rest := field(line)
	_, rest = field(rest)
	gidText, rest := field(rest)
	members, _ = field(rest)
	gid, ok = number(gidText)
	return name, gid, members, ok && len(name) > 0 && !hasNUL(line)
}
