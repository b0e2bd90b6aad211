package cli

import (
	"strconv"
	"strings"
	"time"
)

// pointInTime reads docker's ways to name one: how long ago, seconds since 1970 to the
// nanosecond, or a date, which may be short and without a zone is the caller's.
func pointInTime(s string) (time.Time, bool) {
	if t, ok := unixTime(s); ok {
		return t, true
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), true
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02"} {
		for _, zone := range []string{"", "Z07:00"} {
			if t, err := time.ParseInLocation(layout+zone, s, time.Local); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// unixTime reads seconds and, after a point, up to nine digits of a fraction.
func unixTime(s string) (time.Time, bool) {
	whole, part, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(part) > 9 || strings.Trim(part, "0123456789") != "" {
		return time.Time{}, false
	}
	nano, _ := strconv.ParseInt(part+strings.Repeat("0", 9-len(part)), 10, 64)
	return time.Unix(sec, nano), true
}
