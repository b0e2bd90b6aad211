package option

import "strings"

// ParseName checks --name: [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 255 bytes.
// Docker's leading slash is taken off.
func ParseName(s string) (string, error) {
	name := strings.TrimPrefix(s, "/")
	if !isName(name) {
		return "", bad("container name", s, "use two or more of a-z A-Z 0-9 _ . -, the first a letter or digit", "not a name")
	}
	return name, nil
}

// Pull says when an image is fetched.
type Pull string

// Docker's policies of --pull.
const (
	PullMissing Pull = "missing"
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
)

// ParsePull reads --pull; "" is missing.
func ParsePull(s string) (Pull, error) {
	switch p := Pull(s); p {
	case "":
		return PullMissing, nil
	case PullMissing, PullAlways, PullNever:
		return p, nil
	}
	return "", bad("pull policy", s, meant(s, []string{"missing", "always", "never"}), "there is none of that name")
}
