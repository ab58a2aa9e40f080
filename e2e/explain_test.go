package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

var agreement = flag.Bool("agreement", false, "try every certificate, port, method and path in TLS 1.2 and 1.3, instead of a part")

// explainConfig has a port of every mode. The clients sign with large keys beside the other tests, so handshakes may take long.
const explainConfig = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - {name: require, listen: "127.0.0.1:0", client_cert: require, certificate: &cert {cert: server.pem, key: server-key.pem},
     limits: &patient {handshake: 1m}, trust: {anchors: [client-ca.pem], crls: [client-ca.crl, client-sub-ca.crl]}}
  - {name: request, listen: "127.0.0.1:0", client_cert: request, certificate: *cert, limits: *patient, trust: {anchors: [client-ca.pem, partner-ca.pem]}}
  - {name: open, listen: "127.0.0.1:0", client_cert: request, certificate: *cert, limits: *patient, trust: {anchors: [client-ca.pem]}, strict: false}
  - {name: compatible, listen: "127.0.0.1:0", client_cert: request, certificate: *cert, limits: *patient, unmapped: guest, methods: [PROPFIND],
     trust: {anchors: [client-ca.pem, alice.pem], profile: compatible}}
  - {name: named, listen: "127.0.0.1:0", client_cert: request, certificate: *cert, limits: *patient, server_names: [api.acme.example], trust: {anchors: [client-ca.pem]}}
  - {name: none, listen: "127.0.0.1:0", client_cert: none, certificate: *cert, limits: *patient, strict: false}
  - {name: gateway, listen: "127.0.0.1:0", client_cert: require, certificate: *cert, limits: *patient,
     forwarded: {format: rfc9440, trust: {anchors: [client-ca.pem]}, gateway: {anchors: [partner-ca.pem], fingerprints: ["GATEWAY"]}}}
`

const explainUsers = `mappings:
  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem}
  - {id: partner, user: partner, subject: "CN=partner,O=Partner", issuer: partner-ca.pem}
  - {id: mallory, user: mallory, subject: "CN=mallory,OU=Staff,O=Acme", issuer: client-ca.pem, disabled: true}
  - {id: late, user: ed, subject: "CN=ed25519,OU=Staff,O=Acme", issuer: client-ca.pem, not_after: 2025-01-01}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem, ports: [require, request, open, named]}
  - {id: one, user: carol-by-name, subject: "CN=carol,OU=Staff,O=Acme", issuer: client-ca.pem, ports: [compatible]}
`

const explainPolicy = `p, group:Authenticated, *, GET, /whoami, allow
p, group:staff, *, GET|POST, /orders/{id}, allow
p, user:bob, *, *, /orders/*, deny
p, user:orders-api, require, GET, /orders/*, allow
p, group:Anonymous, open, GET, /public/*, allow
p, group:Everybody, *, OPTIONS, *, allow
g, user:alice, group:staff
g, user:bob, group:staff
g, user:carol, group:staff
`

// explainServer is a live server over testdata/pki, with the guard's last outcome.
type explainServer struct {
	testing.TB
	server *mtlsguard.Server
	roots  *x509.CertPool

	mu      sync.Mutex
	outcome middleware.Outcome
}

func newExplainServer(tb testing.TB) *explainServer {
	tb.Helper()
	dir := tb.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	names, err := fs.Glob(pki.Files, "*")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		if strings.Contains(explainConfig, name) {
			write(name, file(tb, name))
		}
	}
	gateway, err := trust.ReadCertificates("partner.pem", file(tb, "partner.pem"))
	if err != nil {
		tb.Fatal(err)
	}
	write("mtlsguard.yaml", []byte(strings.ReplaceAll(explainConfig, "GATEWAY", trust.FingerprintOf(gateway[0]).String())))
	write("users.yaml", []byte(explainUsers))
	write("policy.csv", []byte(explainPolicy))
	a := &explainServer{TB: tb, roots: x509.NewCertPool()}
	a.roots.AppendCertsFromPEM(file(tb, "server-ca.pem"))
	ready := make(chan struct{})
	a.server, err = mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{
		Ready: func() { close(ready) },
		Observe: func(_ *http.Request, o middleware.Outcome) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.outcome = o
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.server.Serve(tb.Context(), http.HandlerFunc(whoami)) }()
	select {
	case <-ready:
	case err := <-ended:
		tb.Fatal(err)
	}
	return a
}

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func (a *explainServer) port(name string) *ports.Port {
	for _, p := range a.server.Ports() {
		if p.Name() == name {
			return p
		}
	}
	a.Fatalf("no port %s", name)
	return nil
}

// handshakes counts the handshakes that ended without a connection: refused by reason, and all.
func (a *explainServer) handshakes(port string) (refused map[reason.Reason]uint64, all uint64) {
	for _, p := range a.server.Status().Ports {
		if p.Name == port {
			all = p.Failed
			for _, n := range p.Handshakes {
				all += n
			}
			return p.Handshakes, all
		}
	}
	return nil, 0
}

// explainConn is one connection to a server.
type explainConn struct {
	*tls.Conn
	in *bufio.Reader
}

// connect makes a connection with the certificate holder. If the handshake fails it returns no
// connection and the server's reason, or "" if the client itself ended the handshake.
func (a *explainServer) connect(port, sni string, holder *tls.Certificate, version uint16) (*explainConn, reason.Reason) {
	a.Helper()
	before, count := a.handshakes(port)
	w := a.dial(port, sni, holder, version)
	c := w.Conn
	err := c.Handshake()
	if err == nil {
		// In TLS 1.3 the client's handshake ends before the server has verified its certificate.
		if version == tls.VersionTLS12 {
			return w, ""
		}
		if err = w.send("GET", "/", "localhost", ""); err == nil {
			var res *http.Response
			if res, err = http.ReadResponse(w.in, nil); err == nil {
				io.Copy(io.Discard, res.Body)
				if !res.Close {
					return w, ""
				}
				c.Close() // the server closes this connection after its answer
				return a.dial(port, sni, holder, version), ""
			}
		}
	}
	c.Close()
	var after map[reason.Reason]uint64
	testkit.Eventually(a, "a handshake that failed is counted", func() bool {
		var now uint64
		after, now = a.handshakes(port)
		return now > count
	})
	for r, n := range after {
		if n > before[r] {
			return nil, r
		}
	}
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		a.Errorf("port %s: the server refused and counted no reason: %v", port, err)
	}
	return nil, ""
}

// dial makes a connection without a handshake.
func (a *explainServer) dial(port, sni string, holder *tls.Certificate, version uint16) *explainConn {
	a.Helper()
	raw, err := net.Dial("tcp", a.port(port).Addr().String())
	if err != nil {
		a.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(30 * time.Second))
	c := tls.Client(raw, &tls.Config{
		RootCAs: a.roots, ServerName: sni, MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if holder == nil {
				return &tls.Certificate{}, nil
			}
			return holder, nil // whichever authorities the server accepts
		},
	})
	return &explainConn{Conn: c, in: bufio.NewReader(c)}
}

// ask sends a request. header holds whole lines.
func (w *explainConn) send(method, path, host, header string) error {
	_, err := fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, host, header)
	return err
}

// roundTrip sends a request and returns the server's answer and the guard's outcome.
func (a *explainServer) roundTrip(w *explainConn, method, path, host, header string) (status int, outcome middleware.Outcome, closed bool) {
	a.Helper()
	a.mu.Lock()
	a.outcome = middleware.Outcome{}
	a.mu.Unlock()
	if err := w.send(method, path, host, header); err != nil {
		a.Fatal(err)
	}
	res, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		a.Fatalf("%s %s: the answer: %v", method, path, err)
	}
	io.Copy(io.Discard, res.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	return res.StatusCode, a.outcome, res.Close
}

// outcomeText returns the part of an outcome in which explain and the guard must agree.
func outcomeText(o middleware.Outcome) string {
	text := fmt.Sprintf("allowed %t, status %d, %q %q, port %s, %s %q, rule %q, challenges %q, generation %d",
		o.Allowed, o.Status, o.Reason, o.Detail, o.Port, o.Method, o.Path, o.Rule, o.Challenges, o.Generation)
	if o.Identity != nil {
		text += fmt.Sprintf(", user %s %q by %s, mapping %s", o.Identity.User, o.Identity.Groups, o.Identity.Via, o.Identity.MappingID)
	}
	return text + fmt.Sprintf(", certificate %s, gateway %s", o.Verified.Fingerprint(), o.Gateway.Fingerprint())
}

// Explain agrees with the live server for every test certificate and for no certificate, on
// every kind of port, with unambiguous and ambiguous targets, over real TLS. The whole outcome
// is compared: reason and detail, user, groups, mapping, path and rule.
func TestExplainAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	methods := []string{"GET", "POST", "DELETE", "PROPFIND", "OPTIONS"}
	paths := []string{"/whoami", "/orders/7", "/orders/", "/public/a?b=%2e", "/orders//7", "/%6frders/7", "/orders%2f7", "/a/../b", "*", "/%zz", "orders", "/ä"}
	versions := []uint16{tls.VersionTLS13}
	if *agreement {
		methods = append(methods, "HEAD", "PUT", "get", "CONNECT")
		paths = append(paths, "/orders/7/8", "/public/", "/public", "/orders/%37", "/orders/7#x", "https://localhost/whoami", "/a\\b", "/orders/7%00", "/./x", "/x/.", "//", "/%C3%28", "/orders/7 8", "/orders/%257")
		versions = append(versions, tls.VersionTLS12)
	}
	names, err := fs.Glob(pki.Files, "*-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, "") // no certificate
	var requests, refused, unsent, unread int
	for i, name := range names {
		name = strings.TrimSuffix(name, "-key.pem")
		var holder *tls.Certificate
		var presented []*x509.Certificate
		if name != "" {
			pair, err := tls.X509KeyPair(file(t, name+".pem"), file(t, name+"-key.pem"))
			if err != nil {
				t.Fatalf("%s: the key pair: %v", name, err)
			}
			holder = &pair
			if presented, err = trust.ReadCertificates(name, file(t, name+".pem")); err != nil {
				t.Fatal(err)
			}
		}
		for j, p := range a.server.Ports() {
			port := p.Name()
			for _, version := range versions {
				label := fmt.Sprintf("%q on %s, TLS %#x", name, port, version)
				w, why := a.connect(port, "api.acme.example", holder, version)
				x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: port, Host: "api.acme.example", Certificates: presented})
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case w == nil && why == "" && x.Refused:
					unsent++ // the client cannot sign with this key, so the server has no reason to count
				case x.Refused != (w == nil) || x.Refused && x.Reason != why:
					t.Errorf("%s: explain: refused %t %q; server: refused %t %q", label, x.Refused, x.Reason, w == nil, why)
				}
				if w == nil {
					refused++
					continue
				}
				for m, method := range methods {
					for n, path := range paths {
						if !*agreement && (i+j+m+n)%9 != 0 {
							continue
						}
						host := "api.acme.example"
						if n%5 == 4 {
							host = "other.acme.example"
						}
						if w == nil {
							if w, why = a.connect(port, "api.acme.example", holder, version); w == nil {
								t.Fatalf("%s: the second connection is refused: %s", label, why)
							}
						}
						status, outcome, closed := a.roundTrip(w, method, path, host, "")
						x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{
							Port: port, Method: method, Path: path, Host: host, ServerName: "api.acme.example", Certificates: presented,
						})
						requests++
						switch {
						case err != nil || x.Refused:
							t.Errorf("%s: %s %s: %v, refused %t", label, method, path, err, x.Refused)
						case x.Unread:
							unread++
							if outcome.Generation != 0 || x.Status != status {
								t.Errorf("%s: %s %s: explain: status %d, unread; server: status %d after %s", label, method, path, x.Status, status, outcomeText(outcome))
							}
						case outcomeText(x.Outcome) != outcomeText(outcome):
							t.Errorf("%s: %s %s:\nexplain: %s\nserver:  %s", label, method, path, outcomeText(x.Outcome), outcomeText(outcome))
						case !x.Allowed && status != x.Status:
							t.Errorf("%s: %s %s: explain: status %d; server: status %d", label, method, path, x.Status, status)
						}
						if closed {
							w.Close()
							w = nil
						}
					}
				}
				if w != nil {
					w.Close()
				}
			}
		}
	}
	t.Logf("%d certificates, %d requests (%d never read), %d connections refused, %d of them by the client itself", len(names), requests, unread, refused, unsent)
	if requests < 1000 || refused < 50 || unread == 0 {
		t.Error("too few requests")
	}
}

// Explain agrees with the server over HTTP/2 too, for targets that its clients send.
func TestExplainAgreesOverHTTP2(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	for _, name := range []string{"alice", "bob", "carol", "stranger", "two-cns", ""} {
		config := &tls.Config{RootCAs: a.roots, ServerName: "localhost"}
		var presented []*x509.Certificate
		if name != "" {
			pair, err := tls.X509KeyPair(file(t, name+".pem"), file(t, name+"-key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
			if presented, err = trust.ReadCertificates(name, file(t, name+".pem")); err != nil {
				t.Fatal(err)
			}
		}
		transport := &http.Transport{TLSClientConfig: config}
		testkit.HTTP2(transport)
		client := &http.Client{Transport: transport}
		for _, method := range []string{"GET", "POST", "HEAD", "PROPFIND"} {
			for _, path := range []string{"/whoami", "/orders/7?x=%2f", "/orders//7", "/orders%2f7", "/public/a/../b", "/%C3%A4"} {
				r, err := http.NewRequest(method, "https://"+a.port("open").Addr().String()+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "localhost"
				a.mu.Lock()
				a.outcome = middleware.Outcome{}
				a.mu.Unlock()
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "open", Method: method, Path: path, Certificates: presented})
				a.mu.Lock()
				if err != nil || res.ProtoMajor != 2 || outcomeText(x.Outcome) != outcomeText(a.outcome) {
					t.Errorf("%q: %s %s, %s:\nexplain: %s, %v\nserver:  %s", name, method, path, res.Proto, outcomeText(x.Outcome), err, outcomeText(a.outcome))
				}
				a.mu.Unlock()
			}
		}
		transport.CloseIdleConnections()
	}
}

// Explain agrees with the server behind a gateway too, for forwarded certificates.
func TestExplainAgreesBehindAGateway(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	pair, err := tls.X509KeyPair(file(t, "partner.pem"), file(t, "partner-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	presented, err := trust.ReadCertificates("partner.pem", file(t, "partner.pem"))
	if err != nil {
		t.Fatal(err)
	}
	forwarded := []string{"", "Client-Cert: :AAAA:", "Client-Cert: nothing", "Client_Cert: ::"}
	for _, name := range []string{"alice", "bob", "carol", "untrusted", "expired", "two-cns", "orders"} {
		certs, err := trust.ReadCertificates(name, file(t, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		forwarded = append(forwarded, "Client-Cert: :"+base64.StdEncoding.EncodeToString(certs[0].Raw)+":")
	}
	reasons := map[reason.Reason]bool{}
	w, why := a.connect("gateway", "localhost", &pair, tls.VersionTLS13)
	if w == nil {
		t.Fatal(why)
	}
	defer w.Close()
	for _, line := range forwarded {
		for _, path := range []string{"/whoami", "/orders/7"} {
			header, sent := http.Header{}, ""
			if name, value, ok := strings.Cut(line, ": "); ok {
				header[name], sent = []string{value}, line+"\r\n"
			}
			_, outcome, _ := a.roundTrip(w, "GET", path, "localhost", sent)
			x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "gateway", Path: path, Certificates: presented, Header: header})
			if err != nil || outcomeText(x.Outcome) != outcomeText(outcome) {
				t.Errorf("%s %.60s:\nexplain: %s, %v\nserver:  %s", path, line, outcomeText(x.Outcome), err, outcomeText(outcome))
			}
			reasons[x.Reason] = true
		}
	}
	if len(reasons) < 5 {
		t.Errorf("only the reasons %v", reasons)
	}
}

// Explain names the mapping and the policy rule that decided.
func TestExplainNamesMappingAndRule(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	certs, err := trust.ReadCertificates("bob", file(t, "bob.pem"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "require", Path: "/orders/7", Certificates: certs})
	if err != nil {
		t.Fatal(err)
	}
	if x.Allowed || x.Reason != reason.Denied || x.Policy == nil || !strings.HasSuffix(x.Policy.Decision.Rule.String(), "policy.csv:3") {
		t.Errorf("got %+v, want a refusal by the rule in policy.csv:3", x)
	}
	if !slices.ContainsFunc(x.Mapping, func(s certmap.Step) bool {
		return s.MappingID == "staff" && s.Result == mapresult.Matches && s.User == "bob"
	}) {
		t.Errorf("got the steps %v, want one in which mapping staff matches bob", x.Mapping)
	}
	if !slices.ContainsFunc(x.Steps, func(s string) bool { return strings.HasPrefix(s, "mapping: ") }) || len(x.Mapping) != 6 {
		t.Errorf("%d mappings, %v", len(x.Mapping), x.Steps)
	}
	if a.server.Status().Ports[0].Refused[reason.Denied] != 0 {
		t.Error("an explanation was counted as a request")
	}
}

// Explain refuses a request head of a size that the port refuses to read.
func TestExplainAgreesOnTheSizeOfAHead(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	w, why := a.connect("open", "localhost", nil, tls.VersionTLS13)
	if w == nil {
		t.Fatal(why)
	}
	defer w.Close()
	for _, size := range []int{1000, 64 << 10, 70 << 10} {
		value := strings.Repeat("x", size)
		x, err := a.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "open", Path: "/public/a", Header: http.Header{"X-Filler": {value}}})
		if err != nil {
			t.Fatal(err)
		}
		status, outcome, closed := a.roundTrip(w, "GET", "/public/a", "localhost", "X-Filler: "+value+"\r\n")
		if x.Unread != (outcome.Generation == 0) || x.Unread && x.Status != status {
			t.Errorf("%d bytes: explain: status %d, unread %t; server: status %d", size, x.Status, x.Unread, status)
		}
		if closed {
			w, _ = a.connect("open", "localhost", nil, tls.VersionTLS13)
		}
	}
}

func TestExplainRejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	a := newExplainServer(t)
	for _, q := range []mtlsguard.ExplainRequest{
		{Port: "nowhere"}, {},
		{Port: "none", Path: "/\r\nX: y"}, {Port: "none", Method: "GET /x HTTP/1.1\nHost: y\n\nGET"}, {Port: "none", Host: "a\r\nClient-Cert: x"},
	} {
		x, err := a.server.Explain(t.Context(), q)
		if len(configerror.All(err)) != 1 || configerror.All(err)[0].Hint == "" || x.Allowed {
			t.Errorf("%+v: got %+v, %v; want one error with a hint", q, x, err)
		}
	}
}

// Explain does not mix two generations when the configuration changes during a call.
func TestExplainDoesNotMixGenerations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, err := mtlsguard.Open(s.path("mtlsguard.yaml"), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 40 {
			if i%2 == 0 {
				s.sub("policy.csv", "p, group:Everybody, *, GET, /whoami, allow", "p, group:Everybody, *, GET, /whoami, deny")
			} else {
				s.sub("policy.csv", "p, group:Everybody, *, GET, /whoami, deny", "p, group:Everybody, *, GET, /whoami, allow")
			}
			if err := server.Reload(); err != nil {
				t.Error(err)
			}
		}
	}()
	for asked := 0; ; asked++ {
		x, err := server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "internal", Path: "/whoami", Certificates: s.alice.Presented()})
		if err != nil {
			t.Fatal(err)
		}
		if x.Policy == nil || x.Policy.Decision.Allowed != x.Allowed {
			t.Fatalf("the guard allows: %t, the policy: %+v", x.Allowed, x.Policy)
		}
		select {
		case <-done:
			if asked >= 10 {
				return
			}
		default:
			time.Sleep(100 * time.Microsecond) // otherwise reloads get no CPU time
		}
	}
}
