package registry

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"rl/oci/registry/badregistry"
)

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

// A host that was only redirected to may ask for credentials, and gets none.
func TestChallengeOfAnotherHostIsNotAnswered(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		reg, host := start(t)
		thief, elsewhere := start(t, private(bearer))
		d, _ := blobOf(t, reg, 10)
		dockerConfig(t, auths(host, "ann", "s3cret"))
		reg.Break(bad{Redirect: "http://" + elsewhere})
		s, _ := open(t, host+"/team/app", Options{})
		_, err := read(s, d)
		wantText(t, err, elsewhere+" answered 401")
		for _, q := range append(thief.Requests(), reg.Requests()...) {
			if q.Authorization != "" || q.Path == "/token" {
				t.Errorf("bearer=%v: the challenge was answered: %+v", bearer, q)
			}
		}
	}
}
