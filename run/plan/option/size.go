package option

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize reads a number of bytes as docker does (--shm-size, tmpfs-size):
// "64m", "1.5g", "65536", "1 GiB". Units b, k, m, g, t, p are powers of 1024, in
// either case, with an optional b or ib behind. Kind names the option in errors.
func ParseSize(kind, s string) (int64, error) {
	const hint = "write a number with an optional unit: b, k, m, g or t, as in 64m"
	digits := 0
	for digits < len(s) && (s[digits] >= '0' && s[digits] <= '9' || s[digits] == '.') {
		digits++
	}
	number, unit := s[:digits], strings.ToLower(strings.TrimPrefix(s[digits:], " "))
	if strings.HasPrefix(s, "-") {
		return 0, bad(kind, s, hint, "a size cannot be negative")
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, bad(kind, s, hint, "not a size")
	}
	shift, ok := unitShift(unit)
	if !ok {
		return 0, bad(kind, s, hint, "no such unit: ", quote(unit))
	}
	value = math.Ldexp(value, shift)
	if value >= math.MaxInt64 {
		return 0, bad(kind, s, hint, "too large")
	}
	return int64(value), nil
}

func unitShift(unit string) (int, bool) {
	switch unit {
	case "", "b":
		return 0, true
	case "k", "kb", "kib":
		return 10, true
	case "m", "mb", "mib":
		return 20, true
	case "g", "gb", "gib":
		return 30, true
	case "t", "tb", "tib":
		return 40, true
	case "p", "pb", "pib":
		return 50, true
	}
	return 0, false
}

// ParseDuration reads a length of time such as 90s, 2m or 1h30m; 0 needs no unit.
func ParseDuration(kind, s string) (time.Duration, error) {
	const hint = "write a number with a unit: ms, s, m or h, as in 90s or 1h30m"
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, bad(kind, s, hint, "not a duration")
	case d < 0:
		return 0, bad(kind, s, hint, "a duration cannot be negative")
	}
	return d, nil
}

// StopForever is the stop timeout that never kills.
const StopForever = -1

// ParseStopTimeout reads --stop-timeout: whole seconds between the stop signal
// and SIGKILL; -1 ([StopForever]) waits for ever.
func ParseStopTimeout(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < StopForever {
		return 0, bad("stop timeout", s, "write whole seconds, or -1 to wait for ever", "not a number of seconds")
	}
	return int(n), nil
}
