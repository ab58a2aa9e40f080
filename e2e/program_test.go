package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// mapperFunc is a program's own mapper.
type mapperFunc func(commonName string) (certmap.Match, error)

func (f mapperFunc) Map(_ context.Context, v trust.Verified, _ string) (certmap.Match, error) {
	return f(v.Leaf().Subject.CommonName)
}

// deciderFunc is a program's own policy.
type deciderFunc func(policy.Request) (policy.Decision, error)

func (f deciderFunc) Decide(_ context.Context, q policy.Request) (policy.Decision, error) {
	return f(q)
}

// programSite is a site whose file has neither users nor policy.
func programSite(t *testing.T) *site {
	s := newSite(t)
	s.sub(config, "users: users.yaml\npolicy: policy.csv\n", "")
	return s
}

func mapsAliceTo(name string) mapperFunc {
	return func(cn string) (certmap.Match, error) {
		if cn == "alice" {
			return certmap.Match{User: name}, nil
		}
		return certmap.Match{}, reason.Refuse(reason.Unmapped, "not in the database")
	}
}

func allow(q policy.Request) (policy.Decision, error) {
	return policy.Decision{Allowed: q.User == "alice", Reason: ""}, nil
}

// A mapper and a policy of the program take the place of files. Whatever they do wrong is a
// refusal with a reason, and never Default: on a strict port, and on one that is not.
func TestProgramMapsAndDecides(t *testing.T) {
	t.Parallel()
	s := programSite(t)
	for _, row := range []struct {
		name             string
		mapper           mapperFunc
		decider          deciderFunc
		alice, anonymous string // on the port with strict: false
	}{
		{"as they should", mapsAliceTo("alice"), allow, "200 alice", "403 no-rule"},
		{"everybody may", mapsAliceTo("alice"), func(policy.Request) (policy.Decision, error) { return policy.Decision{Allowed: true}, nil }, "200 alice", "200 Default"},
		{"the mapper fails", func(string) (certmap.Match, error) { return certmap.Match{User: "alice"}, errors.New("no connection") }, allow, "503 policy-error", "403 no-rule"},
		{"the mapper panics", func(string) (certmap.Match, error) { panic("no connection") }, allow, "503 policy-error", "403 no-rule"},
		{"the mapper knows no user", func(string) (certmap.Match, error) { return certmap.Match{}, nil }, allow, "403 unmapped", "403 no-rule"},
		{"the mapper names Default", mapsAliceTo("Default"), allow, "403 unmapped", "403 no-rule"},
		{"the mapper names a group", mapsAliceTo("Authenticated"), allow, "403 unmapped", "403 no-rule"},
		{"the mapper has no user", func(string) (certmap.Match, error) { return certmap.Match{}, reason.Refuse(reason.Unmapped, "") }, allow, "403 unmapped", "403 no-rule"},
		{"the policy fails", mapsAliceTo("alice"), func(policy.Request) (policy.Decision, error) {
			return policy.Decision{Allowed: true}, errors.New("no connection")
		}, "503 policy-error", "503 policy-error"},
		{"the policy panics", mapsAliceTo("alice"), func(policy.Request) (policy.Decision, error) { panic("no connection") }, "503 policy-error", "503 policy-error"},
		{"the policy has its own reason", mapsAliceTo("alice"), func(policy.Request) (policy.Decision, error) { return policy.Decision{Reason: "sorry"}, nil }, "403 denied", "403 denied"},
	} {
		l := s.start(mtlsguard.Options{Map: row.mapper, Policy: row.decider})
		if got := get(s.client(s.alice), l.url("public", "/whoami")); got != row.alice {
			t.Errorf("%s, alice: %s, want %s", row.name, got, row.alice)
		}
		if got := get(s.client(nil), l.url("public", "/whoami")); got != row.anonymous {
			t.Errorf("%s, anonymous: %s, want %s", row.name, got, row.anonymous)
		}
		if got := get(s.client(nil), l.url("internal", "/whoami")); got != "refused" {
			t.Errorf("%s, anonymous on a strict port: %s, want refused", row.name, got)
		}
		if got := get(s.client(s.bob), l.url("internal", "/whoami")); strings.HasPrefix(got, "200") {
			t.Errorf("%s, bob: %s", row.name, got)
		}
		l.end()
	}
}

// It is an error if the file and the program both provide users, policy or a certificate, and if
// neither does.
func TestFileAndProgramDoNotProvideTheSame(t *testing.T) {
	t.Parallel()
	certificate := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("unused") }
	functions := func(name string) map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){name: certificate}
	}
	for name, row := range map[string]struct {
		options mtlsguard.Options
		without bool // users and policy
		want    string
	}{
		"users twice":              {mtlsguard.Options{Map: mapsAliceTo("alice")}, false, "Options.Map"},
		"policy twice":             {mtlsguard.Options{Policy: deciderFunc(allow)}, false, "Options.Policy"},
		"a certificate twice":      {mtlsguard.Options{Certificates: functions("internal")}, false, "Options.Certificates"},
		"no users":                 {mtlsguard.Options{Policy: deciderFunc(allow)}, true, "users is missing"},
		"no policy":                {mtlsguard.Options{Map: mapsAliceTo("alice")}, true, "policy is missing"},
		"a certificate of no port": {mtlsguard.Options{Certificates: functions("interal")}, false, `"interal" is not a port`},
		"a shadow of no file":      {mtlsguard.Options{Map: mapsAliceTo("alice"), Policy: deciderFunc(allow), ShadowEvery: 1}, true, "Options.ShadowEvery"},
	} {
		s := newSite(t)
		if row.without {
			s = programSite(t)
		}
		_, err := mtlsguard.Open(s.path(config), row.options)
		all := configerror.All(err)
		if len(all) != 1 || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" {
			t.Errorf("%s: got %v, want %q with a hint", name, err, row.want)
		}
	}
}

// Lint, Explain and Inventory name the parts that the program provides, and report nothing about
// their content.
func TestProgramsPartsAreNotKnown(t *testing.T) {
	t.Parallel()
	s := programSite(t)
	s.sub(config, "    certificate: {cert: server.pem, key: server-key.pem}\n    trust:\n", "    trust:\n")
	pair := s.serve.Server().TLS()
	options := mtlsguard.Options{
		Map: mapsAliceTo("alice"), Policy: deciderFunc(allow),
		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello == nil {
				t.Error("called without a hello")
			}
			return &pair, nil
		}},
	}
	found, err := mtlsguard.Lint(s.path(config), mtlsguard.LintOptions{Options: options})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Options.Map maps", "Options.Policy decides: its rules are not known here", "certificate of port internal: its names and its end are not checked", "port public is open to Default, and Options.Policy decides"} {
		if !slices.ContainsFunc(found, func(f configerror.Finding) bool { return strings.Contains(f.What, want) }) {
			t.Errorf("lint does not report %q: %v", want, found)
		}
	}
	for _, f := range found {
		if strings.Contains(f.What, "no rule allows") || strings.Contains(f.What, "no mapping leads") {
			t.Errorf("lint reports on users or rules of the program: %s", f.What)
		}
	}
	l := s.start(options)
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Errorf("got %s, want 200 alice", got)
	}
	x, err := l.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "internal", Certificates: s.alice.Presented()})
	if err != nil || !x.Allowed || x.Mapping != nil || x.Policy != nil {
		t.Errorf("explain: %+v, %v", x, err)
	}
	for _, want := range []string{"mapping: by e2e.mapperFunc", "policy: by e2e.deciderFunc"} {
		if !slices.ContainsFunc(x.Steps, func(step string) bool { return strings.HasPrefix(step, want) }) {
			t.Errorf("explain has no step %q: %q", want, x.Steps)
		}
	}
	if end := l.server.Inventory().Ports[0].CertificateNotAfter; !end.IsZero() {
		t.Errorf("the inventory has an end of the program's certificate: %s", end)
	}
	if err := l.server.Reload(); err != nil {
		t.Errorf("reload: %v", err)
	}
}

// A certificate of the program serves tls-alpn-01: a CA without a client certificate gets the
// challenge on a port that requires one, and reaches no handler.
func TestProgramsCertificateAnswersTheChallengeOfACME(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "    certificate: {cert: server.pem, key: server-key.pem}\n    trust:\n", "    trust:\n")
	pair, challenge := s.serve.Server().TLS(), testpki.NewCA("challenge").Server().TLS()
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.NegotiatedProtocol == "acme-tls/1" {
			t.Error("the challenge reached the handler")
		}
		whoami(w, r)
	})
	l := s.start(mtlsguard.Options{Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if slices.Contains(hello.SupportedProtos, "acme-tls/1") {
			return &challenge, nil
		}
		return &pair, nil
	}}})
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Errorf("alice: %s, want 200 alice", got)
	}
	if got := get(s.client(nil), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("without a certificate: %s, want refused", got)
	}
	address := strings.TrimPrefix(l.url("internal", ""), "https://")
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !slices.Equal(conn.ConnectionState().PeerCertificates[0].Raw, challenge.Certificate[0]) {
		t.Error("the challenge has another certificate")
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the port sends something")
	}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(l.url("public", ""), "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}); err == nil {
		conn.Close()
		t.Error("a port with a certificate of the file answers a challenge")
	}
}

// The program writes the body of a refusal. It cannot make it look like an answer.
func TestProgramWritesRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: false", "strict: true")
	basic := middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"carol": "secret"})}
	l := s.start(mtlsguard.Options{
		Authenticators: map[string][]middleware.Authenticator{"public": {basic}},
		Refuse: func(w http.ResponseWriter, r *http.Request, o middleware.Outcome) {
			if r.URL.Path == "/silent" {
				return
			}
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Header().Del("WWW-Authenticate")
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusOK)
			w.Write([]byte("sorry: " + string(o.Reason)))
		}})
	for path, want := range map[string]string{"/whoami": "sorry: no-certificate", "/silent": `"reason":"no-certificate"`} {
		res, err := s.client(nil).Get(l.url("public", path))
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 4096)
		n, _ := res.Body.Read(body)
		res.Body.Close()
		if res.StatusCode != 401 || !strings.Contains(string(body[:n]), want) || res.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s: got %d %v %s, want 401 with %q", path, res.StatusCode, res.Header, body[:n], want)
		}
	}
}
