package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"rl/userns/sys/fault"
)

// maxToken bounds a token service's answer.
const maxToken = 256 << 10

// authorizer answers a registry's challenges and keeps the answer for the
// requests that follow. Nothing is asked of anybody before a registry asks us:
// an anonymous pull runs no credential helper.
//
//	registry    401  Www-Authenticate: Bearer realm="https://auth…/token",service=…,scope=…
//	realm       GET  ?service=…&scope=repository:library/debian:pull   (Basic, if there are credentials)
//	            200  {"token": "…"}
//	registry    GET  Authorization: Bearer …
type authorizer struct {
	client   *client
	insecure bool

	mu     sync.Mutex
	value  string      // of the Authorization header
	stored *credential // nil until looked for
}

func (a *authorizer) header() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}

// used tells which credentials were, for the text of an error.
func (a *authorizer) used() credential {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stored == nil {
		return credential{}
	}
	return *a.stored
}

// answer makes a new Authorization header after the registry refused the one
// sent. Of many layers that are refused at once only the first fetches a token.
func (a *authorizer) answer(ctx context.Context, sent string, challenges []challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value != sent {
		return nil
	}
	if a.stored == nil {
		c := lookup(ctx, a.client.ref.Domain, a.client.ref.Path)
		a.stored = &c
	}
	for _, c := range challenges {
		if c.scheme != "bearer" {
			continue
		}
		t, err := a.token(ctx, c)
		if err != nil {
			return err
		}
		a.value = "Bearer " + t
		return nil
	}
	for _, c := range challenges {
		if c.scheme != "basic" {
			continue
		}
		basic := a.stored.basic()
		if basic == "" || basic == sent {
			break
		}
		a.value = basic
		return nil
	}
	return &statusError{code: http.StatusUnauthorized, host: a.client.host}
}

// token asks the token service that a challenge names.
func (a *authorizer) token(ctx context.Context, c challenge) (string, error) {
	if a.stored.token != "" {
		return a.stored.token, nil
	}
	realm, err := a.realm(c)
	if err != nil {
		return "", err
	}
	scope := c.params["scope"]
	if scope == "" {
		scope = "repository:" + a.client.ref.Path + ":pull"
	}
	resp, err := a.exchange(ctx, realm, c.params["service"], scope)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		refusal := newStatusError(resp)
		refusal.token = true
		return "", refusal
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	if err != nil {
		return "", &cutError{err}
	}
	var got struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if len(raw) > maxToken || json.Unmarshal(raw, &got) != nil || got.Token+got.AccessToken == "" {
		return "", fault.New("", "the token service %s gave no token", realm.Host)
	}
	if got.Token == "" {
		got.Token = got.AccessToken
	}
	if strings.ContainsFunc(got.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fault.New("", "the token service %s gave a token that is not one", realm.Host)
	}
	return got.Token, nil
}

// exchange sends the request. A refresh token ("identity token") goes by POST,
// as OAuth2 wants it, everything else by GET, which all token services know.
func (a *authorizer) exchange(ctx context.Context, realm *url.URL, service, scope string) (*http.Response, error) {
	if a.stored.identity != "" {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {a.stored.identity},
			"service": {service}, "scope": {scope}, "client_id": {a.client.agent},
		}
		resp, err := a.send(ctx, http.MethodPost, realm.String(), form.Encode())
		if err != nil || resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			return resp, err
		}
		drain(resp) // a service without OAuth2
	}
	query := realm.Query()
	if service != "" {
		query.Set("service", service)
	}
	query.Set("scope", scope)
	if a.stored.user != "" {
		query.Set("account", a.stored.user)
	}
	get := *realm
	get.RawQuery = query.Encode()
	return a.send(ctx, http.MethodGet, get.String(), "")
}

func (a *authorizer) send(ctx context.Context, method, url, form string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", a.client.agent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if basic := a.stored.basic(); basic != "" {
		req.Header.Set("Authorization", basic)
	}
	resp, err := a.client.http.Do(req)
	return resp, bare(err)
}

// realm is where the token service is, if it may be there: a registry that
// speaks https has one that does, and none points into this machine's network.
func (a *authorizer) realm(c challenge) (*url.URL, error) {
	u, err := url.Parse(c.params["realm"])
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New("", "the registry names a token service that is no address: %q", printable(c.params["realm"]))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !a.insecure) {
		return nil, fault.New("a registry listed as insecure may do so",
			"%w: the registry wants credentials sent over %q to %q", errRefused, u.Scheme, u.Host)
	}
	if !sameHost(u.Host, a.client.host) {
		if err := checkHost(u.Hostname()); err != nil {
			return nil, fmt.Errorf("token service: %w", err)
		}
	}
	return u, nil
}

func basicHeader(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}
