package cli

import (
	"strconv"
	"time"
)

// since is docker's words for how long ago something was.
func since(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return age(time.Since(t)) + " ago"
}

// age is docker's words for a duration, HumanDuration of its package go-units: minutes
// are whole ones, hours are rounded, and what is longer is cut from those hours.
func age(d time.Duration) string {
	const day, week, month, year = 24, 7 * 24, 30 * 24, 365 * 24 // hours
	seconds, minutes, hours := int(d.Seconds()), int(d.Minutes()), int(d.Hours()+0.5)
	switch {
	case seconds < 1:
		return "Less than a second"
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return strconv.Itoa(seconds) + " seconds"
	case minutes == 1:
		return "About a minute"
	case minutes < 60:
		return strconv.Itoa(minutes) + " minutes"
	case hours == 1:
		return "About an hour"
	case hours < 2*day:
		return strconv.Itoa(hours) + " hours"
	case hours < 2*week:
		return strconv.Itoa(hours/day) + " days"
	case hours < 2*month:
		return strconv.Itoa(hours/week) + " weeks"
	case hours < 2*year:
		return strconv.Itoa(hours/month) + " months"
	}
	return strconv.Itoa(int(d.Hours())/year) + " years"
}
