package cli

import (
	"testing"
	"time"
)

// TestAge: docker's words, at each of its thresholds.
func TestAge(t *testing.T) {
	const s, m, h, day = time.Second, time.Minute, time.Hour, 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-5 * s:             "Less than a second", // a clock that was set back
		0:                  "Less than a second",
		s - 1:              "Less than a second",
		s:                  "1 second",
		2*s - 1:            "1 second",
		2 * s:              "2 seconds",
		60*s - 1:           "59 seconds",
		m:                  "About a minute",
		2*m - 1:            "About a minute",
		2 * m:              "2 minutes",
		h - 1:              "59 minutes",
		h:                  "About an hour",
		89 * m:             "About an hour",
		90 * m:             "2 hours",
		47 * h:             "47 hours",
		47*h + 29*m:        "47 hours",
		47*h + 30*m:        "2 days",
		48 * h:             "2 days",
		13 * day:           "13 days",
		14 * day:           "2 weeks",
		59 * day:           "8 weeks",
		60 * day:           "2 months",
		729 * day:          "24 months",
		730 * day:          "2 years",
		5*365*day + 10*day: "5 years",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}
