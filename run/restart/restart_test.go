package restart

import (
	"testing"
	"time"

	"rl/run/plan/option"
)

func TestNext(t *testing.T) {
	type end struct {
		code   int
		ran    time.Duration
		byUser bool
		wait   time.Duration // 0: not again
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		policy option.Restart
		ends   []end
	}{
		{option.Restart{}, []end{{code: 1}}},
		{option.Restart{Policy: "no"}, []end{{code: 1}}},
		{option.Restart{Policy: "always"}, []end{{wait: 100 * ms}, {code: 1, wait: 200 * ms}, {code: 2, wait: 400 * ms},
			{ran: 10 * time.Second, wait: 100 * ms}, {wait: 200 * ms}, {byUser: true}}},
		{option.Restart{Policy: "unless-stopped"}, []end{{wait: 100 * ms}, {code: 137, byUser: true}}},
		{option.Restart{Policy: "on-failure"}, []end{{code: 1, wait: 100 * ms}, {code: 137, wait: 200 * ms}, {code: 0}}},
		{option.Restart{Policy: "on-failure", Max: 2}, []end{{code: 1, wait: 100 * ms}, {code: 1, wait: 200 * ms}, {code: 1}}},
		{option.Restart{Policy: "on-failure"}, []end{{code: 1, byUser: true}}},
	} {
		s := State{Restart: c.policy}
		count := 0
		for i, e := range c.ends {
			wait, again := s.Next(e.code, e.ran, e.byUser)
			if wait != e.wait || again != (e.wait > 0) {
				t.Errorf("%s, end %d: %v, %t", c.policy, i, wait, again)
			}
			if again {
				count++
			}
		}
		if s.Count != count {
			t.Errorf("%s: %d restarts are counted, not %d", c.policy, s.Count, count)
		}
	}
	s := State{Restart: option.Restart{Policy: "always"}}
	for range 100 {
		if wait, again := s.Next(1, 0, false); !again || wait > time.Minute {
			t.Fatalf("%v, %t", wait, again)
		}
	}
}

func TestAtBoot(t *testing.T) {
	for _, c := range []struct {
		policy  string
		stopped bool
		want    bool
	}{
		{"", false, false}, {"no", false, false}, {"on-failure", false, false},
		{"always", false, true}, {"always", true, true}, {"unless-stopped", false, true}, {"unless-stopped", true, false},
	} {
		if got := AtBoot(option.Restart{Policy: c.policy}, c.stopped); got != c.want {
			t.Errorf("%q, stopped %t: %t", c.policy, c.stopped, got)
		}
	}
}
