package option

import "strings"

// User is --user: who the workload runs as. Names are looked up in the image.
type User struct {
	Name  string // as written, "" when only a group was given
	UID   int    // when Name is a number, or missing (0); -1 when it is to be looked up
	Group string // as written, "" when none was given: then the user's own group
	GID   int    // when Group is a number; -1 otherwise
}

// maxID is the largest id that docker takes, 1<<31 - 1.
const maxID = 1<<31 - 1

// ParseUser reads NAME|UID[:GROUP|GID], of --user or of an image.
func ParseUser(s string) (User, error) {
	const kind = "user"
	const hint = "write a name or a uid, and a group or a gid after a colon: 1000:1000"
	name, group, _ := strings.Cut(s, ":")
	if s == "" || s == ":" {
		return User{}, bad(kind, s, hint, "nothing there")
	}
	if strings.Contains(group, ":") {
		return User{}, bad(kind, s, hint, "too many colons")
	}
	u := User{Name: name, Group: group, GID: -1}
	var why string
	if name != "" {
		u.UID, why = idOrName(name)
	}
	if group != "" && why == "" {
		u.GID, why = idOrName(group)
	}
	if why != "" {
		return User{}, bad(kind, s, hint, why)
	}
	return u, nil
}

// ParseGroup reads --group-add: a name, with gid -1, or a gid.
func ParseGroup(s string) (name string, gid int, err error) {
	gid, why := idOrName(s)
	if why != "" {
		return "", 0, bad("group", s, "write a name or a gid", why)
	}
	return s, gid, nil
}

// idOrName tells the id when s is a number, -1 when it can be a name.
func idOrName(s string) (id int, why string) {
	if s == "" {
		return 0, "nothing there"
	}
	digits := s
	if s[0] == '-' || s[0] == '+' {
		digits = s[1:]
	}
	number := digits != ""
	for i := 0; i < len(digits); i++ {
		number = number && digits[i] >= '0' && digits[i] <= '9'
	}
	if number {
		id, ok := parseID(s)
		if !ok {
			return 0, "ids go from 0 to 2147483647"
		}
		return id, ""
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '/' || c == ',' {
			return 0, "not a name: " + quote(s)
		}
	}
	return -1, ""
}

// parseID reads a decimal id, digits only.
func parseID(s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = n*10 + int(s[i]-'0'); n > maxID {
			return 0, false
		}
	}
	return n, true
}
