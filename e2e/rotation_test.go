package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// keySet is what a service remembers of the published keys.
type keySet struct {
	fetch func() (string, error)
	mu    sync.Mutex
	text  string
	n     int // of fetches
}

// subject verifies a token as a service does, which fetches the keys again for one that it does not
// know, and returns its claim sub.
func (k *keySet) subject(tb testing.TB, token string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for range 2 {
		if k.text != "" {
			if claims, _ := verified(tb, token, k.text); claims != nil {
				return fmt.Sprint(claims["sub"])
			}
		}
		text, err := k.fetch()
		if err != nil {
			tb.Error(err)
			return ""
		}
		k.n++
		k.text = text
	}
	return "a token that no published key has signed"
}

// The certificate of the server, the key of tokens, the CRL and the users change many times, while four
// callers send requests. Every answer is to the right caller, and the token is about this caller; no
// request of a user is refused; a guest whose certificate is revoked, or whose mapping is removed, is
// refused as soon as the reload has returned, on an open connection too.
//
//	go test -run TestEverythingIsRotatedUnderLoad -soak ./e2e
func TestEverythingIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	rounds, pause := 12, 5*time.Millisecond
	if *soak {
		rounds, pause = 600, 250*time.Millisecond
	}
	s := newUpstreamSite(t, service(t, headers), "headers: {signed: X-Caller-Token}")
	s.sub(config, "    strict: false\n    upstream", "    strict: false\n    # upstream")
	s.put("token-key.pem", ed25519Key(t))
	s.put(config, s.get(config)+"tokens: {port: public, key: token-key.pem}\n")
	carol, dave := s.ca.Leaf("carol"), s.ca.Leaf("dave")
	users := siteUsers + "  - {id: carol, user: carol, subject: \"CN=carol\", issuer: ca.pem}\n  - {id: dave, user: dave, subject: \"CN=dave\", issuer: ca.pem}\n"
	s.put("users.yaml", users)
	l := s.start(mtlsguard.Options{})
	keys := &keySet{}
	anonymous := s.client(nil)
	keys.fetch = func() (string, error) {
		res, err := anonymous.Get(l.url("public", "/.well-known/jwks.json"))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	// request returns the user that the service got, or the refusal.
	request := func(c *http.Client) string {
		res, err := c.Get(l.url("internal", "/orders/7"))
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err.Error()
		}
		got := http.Header{}
		if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != http.StatusOK {
			return res.Status + " " + string(body)
		}
		user := got.Get("X-Mtlsguard-User")
		if subject := keys.subject(t, got.Get("X-Caller-Token")); subject != user {
			return "user " + user + ", token of " + subject
		}
		return user
	}
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	var answers atomic.Int64
	for name, client := range map[string]*http.Client{
		"alice": s.client(s.alice),
		"bob":   s.client(s.bob, testkit.HTTP2),
		"carol": s.client(carol, testkit.Resuming, func(t *http.Transport) { t.DisableKeepAlives = true }),
		"dave":  s.client(dave, testkit.HTTP2, func(t *http.Transport) { t.DisableKeepAlives = true }),
	} {
		for range 2 {
			load.Go(func() {
				for ctx.Err() == nil {
					if got := request(client); got != name {
						t.Errorf("%s is served as %s", name, got)
						return
					}
					answers.Add(1)
					time.Sleep(pause / 5)
				}
			})
		}
	}
	reload := func() {
		if err := l.server.Reload(); err != nil {
			t.Error(err)
		}
	}
	var revoked []*testpki.Pair
	for i := range rounds {
		guest := s.ca.Leaf(fmt.Sprintf("guest-%d", i))
		s.put("users.yaml", users+fmt.Sprintf("  - {id: guest, user: guest-%d, subject: \"CN=guest-%d\", issuer: ca.pem}\n", i, i))
		reload()
		open := s.client(guest, testkit.HTTP2)
		if got, want := request(open), fmt.Sprintf("guest-%d", i); got != want {
			t.Errorf("%s is served as %s", want, got)
		}
		renewed := s.serve.Server()
		s.put("server-key.pem", string(renewed.KeyPEM()))
		s.put("server.pem", string(renewed.CertPEM()))
		s.put("token-key.pem", ed25519Key(t))
		if i%2 == 0 {
			revoked = append(revoked, guest)
			s.put("ca.crl", s.crl(int64(i+2), revoked...))
		} else {
			s.put("users.yaml", users)
		}
		reload()
		for what, client := range map[string]*http.Client{"an open connection": open, "a new connection": s.client(guest)} {
			if got := request(client); !strings.Contains(got, "403") && !strings.Contains(got, "revoked") && !strings.Contains(got, "EOF") && !strings.Contains(got, "GOAWAY") &&
				!strings.Contains(got, "connection reset") && !strings.Contains(got, "broken pipe") {
				t.Errorf("round %d, %s: the guest gets %s", i, what, got)
			}
			client.CloseIdleConnections() // an address may have 100
		}
		time.Sleep(pause)
	}
	stop()
	load.Wait()
	t.Logf("%d answers, %d fetches of keys", answers.Load(), keys.n)
	if answers.Load() < int64(rounds) {
		t.Errorf("%d answers in %d rounds", answers.Load(), rounds)
	}
}
