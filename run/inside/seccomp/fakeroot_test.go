package seccomp_test

import "testing"

// both runs a test with a supervisor and without.
func both(t *testing.T, f func(t *testing.T, r rig)) {
	for _, mode := range []string{"notify", "fallback"} {
		t.Run(mode, func(t *testing.T) { f(t, rig{FakeRoot: mode, Dir: t.TempDir()}) })
	}
}

func TestChownStorm(t *testing.T) {
	both(t, func(t *testing.T, r rig) {
		r.sh(t, `
			i=0; while [ $i -lt 50 ]; do touch f$i; chown $i:$((i*7)) f$i; i=$((i+1)); done
			ln -s f0 l; chown -h 33:33 l; chgrp -R 4000000 .
			install -d -o 101 -g 102 -m 2755 d; stat -c '%u %g %a' d`, "0 0 2755")
	})
}
