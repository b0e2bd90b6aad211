package cli

import (
	"testing"
	"time"
)

func TestPointInTime(t *testing.T) {
	old := time.Local
	time.Local = time.FixedZone("there", 3600)
	defer func() { time.Local = old }()
	for text, want := range map[string]string{
		"1136073845":                          "2006-01-01T00:04:05Z",
		"1136073845.123456789":                "2006-01-01T00:04:05.123456789Z",
		"1136073845.5":                        "2006-01-01T00:04:05.5Z",
		"0":                                   "1970-01-01T00:00:00Z",
		"2006-01-02T15:04:05.999999999Z":      "2006-01-02T15:04:05.999999999Z",
		"2006-01-02T15:04:05.999999999+02:00": "2006-01-02T13:04:05.999999999Z",
		"2006-01-02T15:04:05":                 "2006-01-02T14:04:05Z",
		"2006-01-02T15:04:05.25":              "2006-01-02T14:04:05.25Z",
		"2006-01-02T15:04":                    "2006-01-02T14:04:00Z",
		"2006-01-02T15:04Z":                   "2006-01-02T15:04:00Z",
		"2006-01-02T15":                       "2006-01-02T14:00:00Z",
		"2006-01-02":                          "2006-01-01T23:00:00Z",
		"2006-01-02Z":                         "2006-01-02T00:00:00Z",
		"2006-01-02-07:00":                    "2006-01-02T07:00:00Z",
	} {
		if got, ok := pointInTime(text); !ok || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %t, not %s", text, got.UTC().Format(time.RFC3339Nano), ok, want)
		}
	}
	for text, ago := range map[string]time.Duration{"10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "-10m": -10 * time.Minute, "0s": 0} {
		got, ok := pointInTime(text)
		if d := time.Since(got) - ago; !ok || d < 0 || d > time.Minute {
			t.Errorf("%s: %s, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "yesterday", "1.1234567890", "1.x", "1.-5", "2006-13-01", "."} {
		if got, ok := pointInTime(text); ok {
			t.Errorf("%q: %s", text, got)
		}
	}
}
