package outbound_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// handleRedirect answers /to?URL with a redirect, and every other path with the client's name
// and the Authorization header.
func handleRedirect(rw http.ResponseWriter, r *http.Request) {
	if to, ok := strings.CutPrefix(r.URL.RequestURI(), "/to?"); ok {
		http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
		return
	}
	io.WriteString(rw, clientName(r)+" "+r.Header.Get("Authorization"))
}

// A redirect keeps, drops or changes the identity, with a real http.Client that follows it.
// Covers J5.
func TestIdentityAcrossRedirects(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			home, evil, third := serve(t, handleRedirect, v.options...), serve(t, handleRedirect, v.options...), serve(t, handleRedirect, v.options...)
			clear := serve(t, handleRedirect, withoutTLS)
			byName := strings.Replace(home.URL, "127.0.0.1", "localhost", 1)
			for _, row := range []struct {
				name   string
				cross  outbound.CrossOrigin
				listed []string
				url    string
				want   string // "" is ErrRedirected
			}{
				{"no redirect", outbound.Drop, nil, home.URL, "alice token"},
				{"the same origin", outbound.Drop, nil, home.URL + "/to?/x", "alice token"},
				{"the same origin, whole URL", outbound.Drop, nil, home.URL + "/to?" + home.URL + "/x", "alice token"},
				{"another port", outbound.Drop, nil, home.URL + "/to?" + evil.URL, "anonymous"},
				{"another name", outbound.Drop, nil, home.URL + "/to?" + byName, "anonymous"},
				{"no TLS", outbound.Drop, nil, home.URL + "/to?" + clear.URL, "anonymous"},
				{"away and back", outbound.Drop, nil, home.URL + "/to?" + evil.URL + "/to?" + home.URL + "/x", "anonymous"},
				{"away, and further within", outbound.Drop, nil, home.URL + "/to?" + evil.URL + "/to?/x", "anonymous"},
				{"refuse", outbound.Refuse, nil, home.URL + "/to?" + evil.URL, ""},
				{"refuse, away and back", outbound.Refuse, nil, home.URL + "/to?" + evil.URL + "/to?" + home.URL, ""},
				{"refuse, the same origin", outbound.Refuse, nil, home.URL + "/to?/x", "alice token"},
				{"listed", outbound.KeepListed, []string{home.URL, third.URL}, home.URL + "/to?" + third.URL, "alice "},
				{"listed, and back", outbound.KeepListed, []string{home.URL, third.URL}, home.URL + "/to?" + third.URL + "/to?" + home.URL, "alice "},
				{"not listed", outbound.KeepListed, []string{home.URL, third.URL}, home.URL + "/to?" + evil.URL, "anonymous"},
				{"not listed in between", outbound.KeepListed, []string{home.URL, third.URL}, home.URL + "/to?" + evil.URL + "/to?" + third.URL, "anonymous"},
				{"no list", outbound.KeepListed, nil, home.URL + "/to?" + third.URL, "anonymous"},
				{"a list, but drop", outbound.Drop, []string{home.URL, third.URL}, home.URL + "/to?" + third.URL, "anonymous"},
			} {
				w := newFixture(t)
				w.put(w.credential("alice", clientCA.Leaf("alice"), row.listed...))
				w.config.CrossOrigin = row.cross
				c := w.client()
				before := evil.requests.Load() + clear.requests.Load()
				r, _ := http.NewRequestWithContext(as(t, "alice"), "POST", row.url, strings.NewReader("x"))
				r.Header.Set("Authorization", "token")
				got, err := read(c.Do(r))
				switch {
				case row.want == "" && (err == nil || !strings.Contains(err.Error(), outbound.ErrOrigin.Error())):
					t.Errorf("%s: got %q, %v; want ErrOrigin", row.name, got, err)
				case row.want == "" && strings.Contains(row.name, "refuse") && evil.requests.Load()+clear.requests.Load() != before:
					t.Errorf("%s: the other origin was called", row.name)
				case row.want != "" && !strings.HasPrefix(got, row.want) || err != nil && row.want != "":
					t.Errorf("%s: %q, %v; want %q", row.name, got, err, row.want)
				case strings.HasPrefix(row.want, "anonymous") && strings.Contains(got, "token"):
					t.Errorf("%s: the Authorization header was sent: %q", row.name, got)
				case r.Header.Get("Authorization") != "token":
					t.Errorf("%s: the request was changed", row.name)
				}
				for _, h := range w.takeEvents() {
					if h.Origin == evil.URL && (h.Sent || h.Alias != "") {
						t.Errorf("%s: got %+v, want no certificate at the other origin", row.name, h)
					}
				}
			}
			if evil.withoutCert.Load() != evil.requests.Load() || evil.requests.Load() == 0 {
				t.Errorf("%d of %d calls to evil without a certificate", evil.withoutCert.Load(), evil.requests.Load())
			}
		})
	}
}

// An Authorization header that the caller set for the new origin is kept.
// Covers J5.
func TestAuthorizationOfARedirectedRequestStays(t *testing.T) {
	t.Parallel()
	home, other := serve(t, handleRedirect), serve(t, handleRedirect)
	w := newFixture(t, "alice")
	c := w.client()
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		r.Header.Set("Authorization", "for the other")
		return nil
	}
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", home.URL+"/to?"+other.URL, nil)
	r.Header.Set("Authorization", "token")
	if got, err := read(c.Do(r)); got != "anonymous for the other" || err != nil {
		t.Errorf("got %q, %v; want anonymous for the other", got, err)
	}
}

// Redirects from an unknown first request present no identity.
// Covers J5.
func TestRedirectWithUnknownOriginDropsTheIdentity(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := newFixture(t, "alice")
	transport := w.transport()
	endless := &http.Request{}
	endless.Response = &http.Response{Request: endless}
	for _, response := range []*http.Response{{}, {Request: &http.Request{}}, {Request: endless}} {
		r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL, nil)
		r.Response = response
		if got, err := read(transport.RoundTrip(r)); got != "anonymous" || err != nil {
			t.Errorf("got %q, %v; want anonymous", got, err)
		}
	}
}
