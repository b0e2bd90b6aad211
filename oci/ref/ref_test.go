package ref

import (
	_ "crypto/sha512" // digest.Validate knows what is linked in
	"errors"
	"strings"
	"testing"

	"rl/oci"
	"rl/userns/sys/fault"
)

const (
	hex256 = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
	dig    = "sha256:" + hex256
)

// The golden cases: what was typed, the canonical name, the familiar one. Those
// of registries agree with distribution/reference's own tables.
func TestParse(t *testing.T) {
	for _, tc := range []struct{ in, name, familiar string }{
		{"debian", "docker.io/library/debian:latest", "debian:latest"},
		{"debian:12", "docker.io/library/debian:12", "debian:12"},
		{"library/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"},
		{"docker://debian:12", "docker.io/library/debian:12", "debian:12"},
		{"debian@" + dig, "docker.io/library/debian@" + dig, "debian@" + dig},
		{"debian:12@" + dig, "docker.io/library/debian:12@" + dig, "debian:12@" + dig},
		{"debian@sha512:" + hex256 + hex256, "docker.io/library/debian@sha512:" + hex256 + hex256, "debian@sha512:" + hex256 + hex256},
		{"team/app", "docker.io/team/app:latest", "team/app:latest"},
		{"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
		{"quay.io/podman/hello:v1.0_A-b", "quay.io/podman/hello:v1.0_A-b", "quay.io/podman/hello:v1.0_A-b"},
		{"localhost/x", "localhost/x:latest", "localhost/x:latest"},
		{"localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"},
		{"localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"},
		{"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
		{"127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest", "127.0.0.1:5000/a/b/c:latest"},
		{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
		{"[FE80::1]/x", "[fe80::1]/x:latest", "[fe80::1]/x:latest"},
		{"Registry.Example.COM/x", "registry.example.com/x:latest", "registry.example.com/x:latest"},
		{"xn--n3h.com/myimage", "xn--n3h.com/myimage:latest", "xn--n3h.com/myimage:latest"},
		{"a.b_c__d---e/f", "", ""}, // a dot makes it a domain, and no domain is like that
		{"ab_c__d---e/f.g", "docker.io/ab_c__d---e/f.g:latest", "ab_c__d---e/f.g:latest"},
		{"test.com/a.b_c__d---e", "test.com/a.b_c__d---e:latest", "test.com/a.b_c__d---e:latest"},
		{"docker.io/foo.bar/x", "docker.io/foo.bar/x:latest", "docker.io/foo.bar/x:latest"},
		{"docker://oci:1", "docker.io/library/oci:1", "docker.io/library/oci:1"},
		{"docker://oci-archive", "docker.io/library/oci-archive:latest", "docker.io/library/oci-archive:latest"},
		{"docker://oci@" + dig, "docker.io/library/oci@" + dig, "oci@" + dig},
		{"oci", "docker.io/library/oci:latest", "docker.io/library/oci:latest"},
		{strings.Repeat("a", 128) + "/" + strings.Repeat("b", 126), "docker.io/" + strings.Repeat("a", 128) + "/" + strings.Repeat("b", 126) + ":latest", ""},
		{"x:" + strings.Repeat("t", 128), "docker.io/library/x:" + strings.Repeat("t", 128), "x:" + strings.Repeat("t", 128)},
		{hex256[1:], "docker.io/library/" + hex256[1:] + ":latest", ""},

		{"oci:dir", "oci:dir", "oci:dir"},
		{"oci:/a/b:12", "oci:/a/b:12", "oci:/a/b:12"},
		{"oci:dir:docker.io/library/debian:12", "oci:dir:docker.io/library/debian:12", "oci:dir:docker.io/library/debian:12"},
		{"oci:dir@" + dig, "oci:dir@" + dig, "oci:dir@" + dig},
		{"oci:dir:12@" + dig, "oci:dir:12@" + dig, "oci:dir:12@" + dig},
		{"oci:DIR With Space", "oci:DIR With Space", "oci:DIR With Space"},
		{"oci-archive:x.tar:1", "oci-archive:x.tar:1", "oci-archive:x.tar:1"},
		{"docker-archive:x.tar", "docker-archive:x.tar", "docker-archive:x.tar"},
		{"docker-archive:/x.tar:debian", "docker-archive:/x.tar:docker.io/library/debian:latest", "docker-archive:/x.tar:docker.io/library/debian:latest"},
		{"docker-archive:x.tar:localhost:5000/a:b", "docker-archive:x.tar:localhost:5000/a:b", "docker-archive:x.tar:localhost:5000/a:b"},
	} {
		r, err := Parse(tc.in)
		if tc.name == "" {
			if err == nil {
				t.Errorf("%s: parsed as %s", tc.in, r)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		if r.Name() != tc.name {
			t.Errorf("%s: Name is %s, want %s", tc.in, r.Name(), tc.name)
		}
		if tc.familiar != "" && r.Familiar() != tc.familiar {
			t.Errorf("%s: Familiar is %s, want %s", tc.in, r.Familiar(), tc.familiar)
		}
		holds(t, r)
	}
}

// holds are the properties of every reference: each way to write it reads as
// the same again, and nothing that has to be there is missing.
func holds(t *testing.T, r Ref) {
	t.Helper()
	for what, s := range map[string]string{"Name": r.Name(), "String": r.String(), "Familiar": r.Familiar()} {
		back, err := Parse(s)
		if err != nil || back != r {
			t.Errorf("%s of %#v is %q, which parses to %#v, %v", what, r, s, back, err)
		}
		if back.Name() != r.Name() {
			t.Errorf("Name of %q is no fixpoint: %q", r.Name(), back.Name())
		}
	}
	if r.Transport == oci.TransportRegistry && (r.Tag == "" && r.Digest == "" || r.Domain == "" || r.Path == "" || r.File != "") {
		t.Errorf("%#v lacks something", r)
	}
	if r.Digest != "" && r.Digest.Validate() != nil {
		t.Errorf("%#v: the digest is not one", r)
	}
}

func TestFields(t *testing.T) {
	for in, want := range map[string]Ref{
		"debian:12@" + dig:     {Transport: oci.TransportRegistry, Domain: "docker.io", Path: "library/debian", Tag: "12", Digest: dig},
		"oci:d:t@" + dig:       {Transport: oci.TransportLayout, File: "d", Tag: "t", Digest: dig},
		"docker-archive:f:a/b": {Transport: oci.TransportDockerArchive, File: "f", Domain: "docker.io", Path: "a/b", Tag: "latest"},
	} {
		if got, err := Parse(in); got != want || err != nil {
			t.Errorf("%s: %#v, %v", in, got, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string][2]string{
		"":                                   {"empty", "debian:12"},
		"Debian":                             {"must be lower case", `did you mean "debian"?`},
		"Foo/bar":                            {"must be lower case", `"foo/bar"`},
		"quay.io/Foo":                        {"must be lower case", `"foo"`},
		"debian:":                            {"tag is empty", "leave out the colon"},
		"debian:a b":                         {`tag "a b" is not allowed`, "letters"},
		"debian:-x":                          {"not allowed", ""},
		"debian:.x":                          {"not allowed", ""},
		"debian:" + strings.Repeat("t", 129): {"longer than 128", ""},
		"debian@":                            {"is not one", "64 hexadecimal"},
		"debian@sha256:abc":                  {"cut short", "exactly 64"},
		"debian@sha256:" + strings.ToUpper(hex256): {"lower-case hexadecimal", ""},
		"debian@md5:0123":                          {"is not one", ""},
		"debian@" + dig + "@" + dig:                {"cut short or too long", ""},
		hex256:                                     {"image id", "@sha256:" + hex256},
		"https://quay.io/x":                        {"scheme", `leave out "https://"`},
		"docker://https://quay.io/x":               {"scheme", ""},
		"docker://":                                {"name is missing", ""},
		"/x":                                       {"empty part", "slash"},
		"x/":                                       {"empty part", "slash"},
		"a//b":                                     {"empty part", "slash"},
		"localhost:5000/":                          {"name is missing", ""},
		":5000/x":                                  {"not a host name", "HOST:PORT"},
		"a.b:/x":                                   {"port", ""},
		"a.b:99999/x":                              {"port", ""},
		"a.b:+1/x":                                 {"port", ""},
		"a..b/x":                                   {"not a host name", ""},
		"-a.b/x":                                   {"not a host name", ""},
		"[::1/x":                                   {"brackets", ""},
		"[::1]5000/x":                              {"not a port", ""},
		"[::1]:/x":                                 {"port", ""},
		"[localhost:1]/x":                          {"brackets", ""},
		"a_.b/x":                                   {"not a host name", ""},
		"a___b":                                    {"not allowed", "a-z"},
		"a..b":                                     {"not allowed", ""},
		"_a":                                       {"not allowed", ""},
		"a_":                                       {"not allowed", ""},
		"-a":                                       {"not allowed", ""},
		"a b":                                      {"not allowed", ""},
		"a\nb":                                     {"control character", ""},
		"a\x00":                                    {"control character", ""},
		"ä":                                        {"not allowed", ""},
		strings.Repeat("a", 256):                   {"longer than 255", ""},
		strings.Repeat("a", 250):                   {"longer than 255", ""}, // with library/
		strings.Repeat("a", 10000):                 {"too long", ""},
		"oci:":                                     {"path is missing", "oci:PATH"},
		"oci::tag":                                 {"path is missing", ""},
		"oci:dir:":                                 {"tag", ""},
		"oci:dir:a b":                              {"tag", "colon"},
		"oci-archive:":                             {"path is missing", "oci-archive:PATH"},
		"docker-archive:":                          {"path is missing", ""},
		"docker-archive:f:":                        {"name is missing", ""},
		"docker-archive:f:Debian":                  {"lower case", ""},
		"docker-archive:f:x@" + dig:                {"no digests", "by its tag"},
	} {
		r, err := Parse(in)
		if err == nil {
			t.Errorf("%q: parsed as %#v", in, r)
			continue
		}
		var told *fault.Error
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want[0]) || !strings.Contains(told.Hint, want[1]) {
			t.Errorf("%q: %v (%+v), want %q", in, err, told, want)
		}
		if strings.ContainsAny(err.Error(), "\n\x00\x1b") || len(err.Error()) > 600 {
			t.Errorf("%.20q: the error is not a short plain line: %q", in, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]bool{
		"localhost/x": true, "localhost:5000/x": true, "127.0.0.1/x": true, "127.9.8.7:5000/x": true,
		"[::1]/x": true, "[::1]:5000/x": true, "LocalHost:1/x": true,
		"debian": false, "localhost.example/x": false, "128.0.0.1/x": false, "[::2]:5000/x": false,
		"127.0.0.1.example/x": false, "oci:x": false,
	} {
		r, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Plain() != want {
			t.Errorf("%s: %v", in, r.Plain())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"debian", "debian:12@" + dig, "localhost:5000/a/b:c", "[::1]:5000/x", "docker://oci:1", "oci:dir:t@" + dig,
		"oci-archive:f:a/b:c", "docker-archive:f:library/x", "docker.io/library/library/x", "index.docker.io/x", "A.B/c", "localhost/x@" + dig,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("%q: %q", s, err)
			}
			return
		}
		holds(t, r)
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("localhost:5000/team/app:12"); err != nil {
			b.Fatal(err)
		}
	}
}
