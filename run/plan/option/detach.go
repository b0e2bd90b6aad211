package option

import "strings"

// DefaultDetachKeys is ctrl-p,ctrl-q.
const DefaultDetachKeys = "\x10\x11"

// ctrlKeys are the keys that make the bytes 0 to 31 with ctrl held.
const ctrlKeys = `@abcdefghijklmnopqrstuvwxyz[\]^_`

// ParseDetachKeys reads --detach-keys: keys with commas between them, each one
// character, ctrl- with one of a-z @ [ \ ] ^ _, or DEL; "" is ctrl-p,ctrl-q. It
// returns the bytes that a terminal sends for them.
func ParseDetachKeys(s string) ([]byte, error) {
	const kind = "detach keys"
	const hint = `write keys with commas between them, as in ctrl-p,ctrl-q: a character, ctrl- with one of a-z @ [ \ ] ^ _, or DEL`
	if s == "" {
		return []byte(DefaultDetachKeys), nil
	}
	var keys []byte
	for _, key := range strings.Split(s, ",") {
		switch ctrl := strings.ToLower(key); {
		case len(key) == 1:
			keys = append(keys, key[0])
		case ctrl == "del":
			keys = append(keys, 0x7f)
		case len(key) == 6 && strings.HasPrefix(ctrl, "ctrl-") && strings.IndexByte(ctrlKeys, ctrl[5]) >= 0:
			keys = append(keys, byte(strings.IndexByte(ctrlKeys, ctrl[5])))
		default:
			return nil, bad(kind, s, hint, quote(key), " is not a key")
		}
	}
	return keys, nil
}

// FormatDetachKeys writes keys the way [ParseDetachKeys] reads them.
func FormatDetachKeys(keys []byte) string {
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case int(k) < len(ctrlKeys):
			b.WriteString("ctrl-")
			b.WriteByte(ctrlKeys[k])
		case k == 0x7f:
			b.WriteString("DEL")
		default:
			b.WriteByte(k)
		}
	}
	return b.String()
}
