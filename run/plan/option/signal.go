package option

import (
	"strconv"
	"strings"
)

// signalNames are the kernel's signals 1 to 31 by number, alike on amd64 and arm64.
var signalNames = [...]string{
	"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
	"CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// Real-time signals as programs see them: glibc keeps 32 and 33 for itself.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// ParseSignal reads a signal's number or name, with or without SIG and in either
// case: 15, TERM, SIGTERM, RTMIN+3, SIGRTMAX-1.
func ParseSignal(s string) (int, error) {
	const kind = "signal"
	const hint = "write a name or a number, as in SIGTERM or 15"
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > sigRTMax {
			return 0, bad(kind, s, hint, "signals go from 1 to 64")
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for n, known := range signalNames {
		if known == name && name != "" {
			return n, nil
		}
	}
	switch name {
	case "CLD":
		return 17, nil
	case "POLL":
		return 29, nil
	case "IOT":
		return 6, nil
	case "UNUSED":
		return 31, nil
	}
	if n, ok := realtime(name); ok {
		return n, nil
	}
	if near := Nearest(name, signalNames[1:]); near != "" {
		return 0, bad(kind, s, "did you mean SIG"+near+"?", "there is none of that name")
	}
	return 0, bad(kind, s, hint, "there is none of that name")
}

// realtime reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func realtime(name string) (int, bool) {
	base, sign := sigRTMin, byte('+')
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, '-'
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return base, true
	}
	n, ok := parseID(offset[1:])
	if offset[0] != sign || !ok || n > sigRTMax-sigRTMin {
		return 0, false
	}
	if sign == '-' {
		n = -n
	}
	return base + n, true
}

// SignalName is the name of a signal, SIGTERM for 15, or its number when it has none.
func SignalName(n int) string {
	switch {
	case n > 0 && n < len(signalNames):
		return "SIG" + signalNames[n]
	case n == sigRTMin:
		return "SIGRTMIN"
	case n == sigRTMax:
		return "SIGRTMAX"
	case n > sigRTMin && n < sigRTMax:
		return "SIGRTMIN+" + strconv.Itoa(n-sigRTMin)
	}
	return strconv.Itoa(n)
}
