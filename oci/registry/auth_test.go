package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rl/oci"
	"rl/oci/registry/badregistry"
	"rl/userns/sys/fault"
)

// dockerConfig writes a config.json and lets DOCKER_CONFIG point there.
func dockerConfig(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

func auths(host, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func private(bearer bool) func(*badregistry.Registry) {
	return func(r *badregistry.Registry) { r.User, r.Password, r.Bearer = "ann", "s3cret", bearer }
}

func TestCredentials(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		t.Run(fmt.Sprint("bearer=", bearer), func(t *testing.T) {
			reg, host := start(t, private(bearer))
			d := pushed(t, reg, "1", 10)
			resolve := func() error {
				s, _ := open(t, host+"/team/app:1", Options{})
				m, err := s.Resolve(t.Context(), amd64)
				if err == nil && m.Descriptor.Digest != d.Digest {
					t.Error(m)
				}
				if err == nil {
					_, err = read(s, m.Manifest.Layers[0])
				}
				return err
			}
			err := resolve()
			wantText(t, err, "pull access denied, or the repository does not exist")
			if !errors.Is(err, oci.ErrUnauthorized) {
				t.Error(err)
			}
			dockerConfig(t, auths(host, "ann", "wrong"))
			wantText(t, resolve(), "pull access denied with the credentials of")
			for _, key := range []string{host, "https://" + host, "http://" + host + "/v2/", host + "/team", host + "/team/app"} {
				dockerConfig(t, auths(key, "ann", "s3cret"))
				if err := resolve(); err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
			dockerConfig(t, auths(host+"/other", "ann", "s3cret"))
			if resolve() == nil {
				t.Error("another namespace's credentials were sent")
			}
		})
	}
}

func TestAnonymousToken(t *testing.T) {
	reg, host := start(t, func(r *badregistry.Registry) { r.Bearer, r.TokenUses = true, 2 })
	pushed(t, reg, "1", 10)
	s, _ := open(t, host+"/team/app:1", Options{})
	for range 4 { // a token that runs out is fetched anew
		if _, err := s.Resolve(t.Context(), amd64); err != nil {
			t.Fatal(err)
		}
	}
	if n := reg.Count("/token"); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}

func TestIdentityToken(t *testing.T) {
	reg, host := start(t, private(true))
	pushed(t, reg, "1", 10)
	dockerConfig(t, fmt.Sprintf(`{"auths":{%q:{"identitytoken":%q}}}`, host, badregistry.RefreshToken))
	s, _ := open(t, host+"/team/app:1", Options{})
	if _, err := s.Resolve(t.Context(), amd64); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialHelper(t *testing.T) {
	reg, host := start(t, private(true))
	pushed(t, reg, "1", 10)
	bin := t.TempDir()
	helper := func(name, script string) {
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	helper("good", `read -r server; test "$1" = get || exit 9
echo '{"ServerURL":"'"$server"'","Username":"ann","Secret":"s3cret"}'`)
	helper("token", `echo '{"Username":"<token>","Secret":"`+badregistry.RefreshToken+`"}'`)
	helper("ignorant", `echo 'credentials not found in native keychain'; exit 1`)
	helper("broken", `printf '\033[31mno session bus\n' >&2; exit 1`)
	helper("babbling", `echo hello`)
	for name, tc := range map[string]struct {
		config string
		hint   string // of the error; "" for success
	}{
		"helper":                {`{"credHelpers":{"` + host + `":"good"}}`, ""},
		"store":                 {`{"credsStore":"good"}`, ""},
		"token":                 {`{"credsStore":"token"}`, ""},
		"store, then file":      {strings.Replace(auths(host, "ann", "s3cret"), "{", `{"credsStore":"ignorant",`, 1), ""},
		"ignorant":              {`{"credsStore":"ignorant"}`, "docker login"},
		"broken":                {`{"credsStore":"broken"}`, "docker-credential-broken: exit status 1: ?[31mno session bus"},
		"not installed":         {`{"credsStore":"desktop"}`, "docker-credential-desktop"},
		"babbling":              {`{"credsStore":"babbling"}`, "its answer is not JSON"},
		"a path":                {`{"credsStore":"../../bin/sh"}`, "not the name of a credential helper"},
		"not JSON":              {`{"auths":`, "config.json: unexpected end"},
		"not base64":            {`{"auths":{"` + host + `":{"auth":"%%%"}}}`, "not base64"},
		"another host's helper": {`{"credHelpers":{"example.com":"good"}}`, "docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			dockerConfig(t, tc.config)
			s, _ := open(t, host+"/team/app:1", Options{})
			_, err := s.Resolve(t.Context(), amd64)
			if tc.hint == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var told *fault.Error
			if !errors.As(err, &told) || !strings.Contains(told.Hint, tc.hint) {
				t.Errorf("%v, hint %q lacks %q", err, told.Hint, tc.hint)
			}
		})
	}
}

// A broken helper does not stand in the way of a public image.
func TestBrokenHelperPublicImage(t *testing.T) {
	reg, host := start(t, func(r *badregistry.Registry) { r.Bearer = true })
	pushed(t, reg, "1", 10)
	dockerConfig(t, `{"credsStore":"not-installed"}`)
	s, _ := open(t, host+"/team/app:1", Options{})
	if _, err := s.Resolve(t.Context(), amd64); err != nil {
		t.Fatal(err)
	}
}

func TestPlacesOfCredentials(t *testing.T) {
	reg, host := start(t, private(false))
	pushed(t, reg, "1", 10)
	good := auths(host, "ann", "s3cret")
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, env := range map[string][2]string{
		"podman's file":    {"REGISTRY_AUTH_FILE", write("any.json")},
		"environment":      {"DOCKER_AUTH_CONFIG", good},
		"docker's":         {"DOCKER_CONFIG", filepath.Dir(write("d/config.json"))},
		"docker's home":    {"HOME", filepath.Dir(filepath.Dir(write("h/.docker/config.json")))},
		"podman's runtime": {"XDG_RUNTIME_DIR", filepath.Dir(filepath.Dir(write("r/containers/auth.json")))},
		"podman's config":  {"XDG_CONFIG_HOME", filepath.Dir(filepath.Dir(write("c/containers/auth.json")))},
		"podman's home":    {"HOME", filepath.Dir(filepath.Dir(filepath.Dir(write("p/.config/containers/auth.json"))))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env[0], env[1])
			s, _ := open(t, host+"/team/app:1", Options{})
			if _, err := s.Resolve(t.Context(), amd64); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestHubCredentials(t *testing.T) {
	for _, key := range []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"} {
		dockerConfig(t, auths(key, "ann", "s3cret"))
		if c := lookup(t.Context(), "docker.io", "library/debian"); c.user != "ann" || c.secret != "s3cret" {
			t.Errorf("%s: %+v", key, c)
		}
		if c := lookup(t.Context(), "quay.io", "library/debian"); c.user != "" {
			t.Errorf("%s: sent to quay.io", key)
		}
	}
}

func TestHostileRealm(t *testing.T) {
	for realm, text := range map[string]string{
		"http://169.254.169.254/latest/meta-data": "169.254.169.254",
		"http://[fe80::1%25eth0]/":                "fe80::1",
		"http://[::ffff:169.254.169.254]/":        "169.254.169.254",
		"http://[fd00:ec2::254]/":                 "fd00:ec2::254",
		"http://100.100.100.200/":                 "100.100.100.200",
		"http://0.0.0.0:1/":                       "0.0.0.0",
		"file:///etc/passwd":                      "no address",
		"gopher://x.invalid/":                     `over \"gopher\"`,
		"http://u:p@x.invalid/":                   "no address",
		"":                                        "no address",
	} {
		reg, host := start(t, func(r *badregistry.Registry) { r.Bearer, r.Realm = true, realm })
		if realm == "" {
			reg.Realm = " "
		}
		s, p := open(t, host+"/team/app:1", Options{})
		_, err := s.Resolve(t.Context(), amd64)
		wantText(t, err, strings.ReplaceAll(text, `\"`, `"`))
		if len(p.all) != 0 || reg.Count("") != 1 {
			t.Errorf("%s was tried again", realm)
		}
	}
}

// A registry that speaks https cannot have credentials sent in the clear.
func TestHttpRealmOfHttpsRegistry(t *testing.T) {
	reg := badregistry.New()
	reg.Bearer, reg.Realm = true, "http://127.0.0.1:1/token"
	server := tlsServer(reg)
	defer server.Close()
	s, _ := open(t, "registry.example/team/app:1", Options{Transport: dialsTo(server)})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, `sent over "http"`)
}

// What a name resolves to counts, not only addresses that are written out.
func TestDialerLooksAtTheResolvedAddress(t *testing.T) {
	dial := dialer("registry.example:443")
	for _, addr := range []string{"169.254.169.254:80", "[fe80::1]:80"} {
		if _, err := dial(t.Context(), "tcp", addr); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	// the registry itself may be there: the user named it
	refusesAll, cancel := contextCancelled(t)
	defer cancel()
	if _, err := dialer("169.254.169.254:5000")(refusesAll, "tcp", "169.254.169.254:80"); errors.Is(err, errRefused) {
		t.Error(err)
	}
}

// To another host (or another port) goes no credential; blobs are had from there.
func TestRedirectLeavesCredentialsBehind(t *testing.T) {
	reg, host := start(t, private(false))
	cdn, elsewhere := start(t)
	d, want := blobOf(t, reg, 1000)
	if d2, _ := blobOf(t, cdn, 1000); d2.Digest != d.Digest {
		t.Fatal("the two differ")
	}
	dockerConfig(t, auths(host, "ann", "s3cret"))
	reg.Break(bad{Redirect: "http://" + elsewhere})
	cdn.Break(bad{CutAfter: 400, Times: 1})
	s, _ := open(t, host+"/team/app", Options{})
	got, err := read(s, d)
	if err != nil || string(got) != string(want) {
		t.Fatal(err)
	}
	for _, q := range cdn.Requests() {
		if q.Authorization != "" {
			t.Errorf("credentials were sent along: %+v", q)
		}
	}
	if q := cdn.Requests(); len(q) != 2 || q[1].Range != "bytes=400-999" {
		t.Errorf("%+v", q)
	}
}

func TestRedirectsNotFollowed(t *testing.T) {
	for to, text := range map[string]string{
		"http://169.254.169.254": "169.254.169.254",
		"ftp://example.com":      `"ftp"`,
	} {
		reg, host := start(t)
		d, _ := blobOf(t, reg, 10)
		reg.Break(bad{Redirect: to})
		s, p := open(t, host+"/team/app", Options{})
		_, err := read(s, d)
		wantText(t, err, text)
		if len(p.all) != 0 {
			t.Errorf("%s was tried again", to)
		}
	}
	secure := tlsServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.example/", http.StatusFound)
	}))
	defer secure.Close()
	s, _ := open(t, "registry.example/team/app:1", Options{Transport: dialsTo(secure)})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, "from https to http")
}

func TestParseChallenges(t *testing.T) {
	type p = map[string]string
	for in, want := range map[string][]challenge{
		`Basic realm="x"`: {{"basic", p{"realm": "x"}}},
		`Bearer realm="https://a/b",service="s", scope="repository:x:pull,push"`: {{"bearer", p{"realm": "https://a/b", "service": "s", "scope": "repository:x:pull,push"}}},
		`Negotiate, Basic realm=x , Bearer Realm="a\"b"`:                         {{"negotiate", p{}}, {"basic", p{"realm": "x"}}, {"bearer", p{"realm": `a"b`}}},
		`Bearer realm="open`: {{"bearer", p{}}},
		`="`:                 nil,
		``:                   nil,
	} {
		if got := parseChallenges(http.Header{"Www-Authenticate": {in}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", in, got, want)
		}
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://a/b",service="s"`)
	f.Add(`Basic`)
	f.Add(`a=,b=="`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenge(s) {
			if c.scheme == "" || c.params == nil {
				t.Errorf("%q: %v", s, c)
			}
		}
	})
}
