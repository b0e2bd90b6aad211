package seccomp

import "testing"

// dockerCaps are docker's default capabilities.
func dockerCaps() []string {
	return []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}
}

func BenchmarkDefaultCompile(b *testing.B) {
	lines()
	for b.Loop() {
		spec, err := Default(dockerCaps())
		if err != nil {
			b.Fatal(err)
		}
		prog, _, err := Compile(spec)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(prog)/8), "insns")
	}
}

func BenchmarkDefaultProfile(b *testing.B) {
	for b.Loop() {
		if _, err := Default(dockerCaps()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFakeRoot(b *testing.B) {
	lines()
	for b.Loop() {
		prog, fallback, _, err := FakeRoot()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(prog)/8), "insns")
		b.ReportMetric(float64(len(fallback)/8), "insns-fallback")
	}
}
