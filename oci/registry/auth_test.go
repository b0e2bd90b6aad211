package registry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
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

// Layers that are refused all at once fetch one token between them.
func TestOneTokenForAll(t *testing.T) {
	reg, host := start(t, private(true))
	d, want := blobOf(t, reg, 1000)
	dockerConfig(t, auths(host, "ann", "s3cret"))
	s, _ := open(t, host+"/team/app:1", Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := read(s, d); err != nil || !bytes.Equal(got, want) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := reg.Count("/token"); n != 1 {
		t.Errorf("%d tokens, want 1", n)
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
