package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The inner server sees the caller that the gateway sees, and headers change nothing.
// Covers K1, K6.
func TestCallerIsTheSameOnBothSidesOfATunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, _ := d.startBoth()
	url := outer.url("external", "/whoami")
	unmapped := d.ca.Leaf("stranger")
	for name, want := range map[string]struct {
		holder *testpki.Pair
		want   string
	}{
		"mapped":    {d.alice, "200 alice tunnel tunnel"},
		"unmapped":  {unmapped, "403 unmapped"},
		"anonymous": {nil, "403 no-certificate"},
		"untrusted": {d.other.Leaf("alice"), "refused"},
	} {
		for version, c := range map[string]*http.Client{"HTTP/1.1": d.client(want.holder), "HTTP/2": d.client(want.holder, testkit.HTTP2)} {
			if got := get(c, url); got != want.want {
				t.Errorf("%s, %s: %s, want %s", name, version, got, want.want)
			}
			forged := []string{"X-Mtls-Caller", "certificate", "Client-Cert", ":AAAA:", "X-Mtls-Service", "billing", "X-Forwarded-User", "alice"}
			if version == "HTTP/1.1" {
				forged = append(forged, "Connection", "Client-Cert, X-Mtls-Caller") // HTTP/2 has no Connection header
			}
			if got := get(withHeaders(c, forged...), url); got != want.want {
				t.Errorf("%s, %s, with headers: %s, want %s", name, version, got, want.want)
			}
		}
	}
	if got := get(d.client(d.alice), outer.url("external", "/secret")); got != "403 no-rule" {
		t.Error(got)
	}
}

// Each row is another configuration, and its answers to alice, to an unmapped
// certificate and to a request without a certificate.
func TestReverseConfigurations(t *testing.T) {
	t.Parallel()
	const asIs = "200 alice tunnel tunnel, 403 unmapped, 403 no-certificate"
	policed := func(d *dmz, policy string) {
		d.sub(config, "reload: 0", "users: users.yaml\npolicy: policy.csv\nreload: 0")
		d.sub(config, tunnelLine, "tunnel: {service: orders}")
		d.put("policy.csv", policy)
		d.put("users.yaml", "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n")
	}
	for _, row := range []struct {
		name  string
		outer func(*dmz)
		inner func(*dmz, *site)
		want  string // empty: no tunnel opens
	}{
		{name: "unchanged", want: asIs},
		{name: "registration by certificate, service in other case", outer: func(d *dmz) {
			d.sub(config, registrationLine, "registration: true")
			d.sub(config, "service: orders", "service: orders.internal.example")
		}, inner: func(_ *dmz, s *site) { s.sub(config, "[orders]", "[Orders.internal.example]") }, want: ""},
		{name: "registration by certificate", outer: func(d *dmz) {
			d.sub(config, registrationLine, "registration: {upgrades: [websocket]}")
			d.sub(config, "service: orders", "service: orders.internal.example")
		}, inner: func(_ *dmz, s *site) { s.sub(config, "[orders]", "[orders.internal.example]") }, want: asIs},
		{name: "pinned", outer: func(d *dmz) {
			d.sub(config, "names: [orders.internal.example]", "fingerprints: ['"+pinOf(d.orders)+"']")
		}, want: asIs},
		{name: "another is pinned", outer: func(d *dmz) {
			d.sub(config, "names: [orders.internal.example]", "fingerprints: ['"+somePin+"']")
		}, want: ""},
		{name: "by host", outer: func(d *dmz) {
			d.sub(config, "service: orders, check", "services: {LOCALHOST.: orders, 127.0.0.1: orders}, check")
		}, want: asIs},
		{name: "another host", outer: func(d *dmz) {
			d.sub(config, "service: orders, check", "services: {api.acme.example: orders}, check")
		}, want: "404, 404, 404"},
		{name: "the gateway is pinned", inner: func(d *dmz, s *site) {
			s.sub(config, "names: [gateway.acme.example]", "fingerprints: ['"+pinOf(d.gateway)+"']")
		}, want: asIs},
		{name: "another gateway is pinned", inner: func(_ *dmz, s *site) {
			s.sub(config, "names: [gateway.acme.example]", "fingerprints: ['"+somePin+"']")
		}, want: ""},
		{name: "a name for the address", inner: func(_ *dmz, s *site) { s.sub(config, "strict: true", "server_name: gateway.acme.example") }, want: asIs},
		{name: "another name for the address", inner: func(_ *dmz, s *site) { s.sub(config, "strict: true", "server_name: other.acme.example") }, want: ""},
		{name: "strict outside", outer: func(d *dmz) { d.sub(config, "strict: false", "strict: true") }, want: asIs},
		{name: "strict nowhere", inner: func(_ *dmz, s *site) { s.sub(config, "strict: true", "strict: false") },
			want: "200 alice tunnel tunnel, 403 unmapped, 200 Default anonymous tunnel"},
		{name: "strict outside only", outer: func(d *dmz) { d.sub(config, "strict: false", "strict: true") },
			inner: func(_ *dmz, s *site) { s.sub(config, "strict: true", "strict: false") }, want: asIs},
		{name: "unmapped inside", inner: func(_ *dmz, s *site) { s.sub(config, "strict: true", "unmapped: guest") },
			want: "200 alice tunnel tunnel, 200 guest tunnel tunnel, 403 no-certificate"},
		{name: "a policy outside, too", outer: func(d *dmz) { policed(d, "p, user:alice, external, GET, /whoami, allow\n") }, want: "200 alice tunnel tunnel, 403 unmapped, 403 no-rule"},
		{name: "a policy outside that denies", outer: func(d *dmz) { policed(d, "p, user:alice, external, *, /*, deny\n") }, want: "403 denied, 403 unmapped, 403 no-rule"},
		{name: "check: believed outside, with users and policy", outer: func(d *dmz) {
			policed(d, "p, group:Everybody, external, *, /*, allow\n")
			d.sub(config, "strict: false", "strict: false\n    unmapped: somebody")
		}, want: asIs},
		{name: "another name inside", inner: func(_ *dmz, s *site) {
			s.sub(config, "name: tunnel", "name: dmz")
			s.sub("policy.csv", "tunnel", "dmz")
		}, want: "200 alice tunnel dmz, 403 unmapped, 403 no-certificate"},
		{name: "the name by default", inner: func(_ *dmz, s *site) { s.sub(config, "  name: tunnel\n", "") }, want: asIs},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			if row.outer != nil {
				row.outer(d)
			}
			outer := d.startGateway(mtlsguard.Options{})
			s := d.inside()
			if row.inner != nil {
				row.inner(d, s)
			}
			if row.want == "" {
				inner := s.background()
				testkit.Eventually(t, "refusals", func() bool { return len(inner.log.find("event", "handshake", "port", "tunnel")) > 2 })
				for service, n := range outer.server.Status().Services {
					if n != 0 || len(inner.log.find("event", "ready")) > 0 {
						t.Errorf("%d tunnels for %s: %s", n, service, inner.log.text())
					}
				}
				return
			}
			inner := s.background()
			testkit.Eventually(t, "a tunnel", func() bool { return len(inner.log.find("msg", "ready")) > 0 })
			unmapped := d.ca.Leaf("stranger")
			var got []string
			for _, holder := range []*testpki.Pair{d.alice, unmapped, nil} {
				got = append(got, strings.TrimSpace(get(d.client(holder), outer.url("external", "/whoami"))))
			}
			if strings.Join(got, ", ") != row.want {
				t.Errorf("got  %q\nwant %q", strings.Join(got, ", "), row.want)
			}
		})
	}
}

// A file may have ports and gateways, and a gateway may serve requests itself.
func TestGatewayAndInnerServerMayHavePortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.sub(config, "reload: 0", "users: users.yaml\npolicy: policy.csv\nreload: 0")
	d.put(config, d.get(config)+"  - name: own\n    listen: 127.0.0.1:0\n    client_cert: require\n    certificate: {cert: server.pem, key: server-key.pem}\n    trust: {anchors: [ca.pem]}\n    limits: {drain: 1s}\n")
	d.put("policy.csv", "p, group:Everybody, own, GET, /whoami, allow\n")
	d.put("users.yaml", "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n")
	d.handler = http.HandlerFunc(whoamiVia)
	outer := d.startGateway(mtlsguard.Options{})
	s := d.inside()
	s.put(config, s.get(config)+"ports:\n  - name: lan\n    listen: 127.0.0.1:0\n    client_cert: require\n    certificate: {cert: server.pem, key: server-key.pem}\n    trust: {anchors: [ca.pem]}\n    limits: {drain: 1s}\n")
	s.put("policy.csv", insidePolicy+"p, user:alice, lan, GET, /whoami, allow\n")
	inner := s.start(mtlsguard.Options{})
	testkit.Eventually(t, "a tunnel", func() bool { return inner.server.Status().Gateways[d.registrations] > 0 })
	for _, row := range []struct {
		c         *http.Client
		url, want string
	}{
		{d.client(d.alice), outer.url("external", "/whoami"), "200 alice tunnel tunnel"},
		{d.client(d.alice), outer.url("own", "/whoami"), "200 alice tls own"},
		{s.client(d.alice), inner.url("lan", "/whoami"), "200 alice tls lan"},
	} {
		if got := get(row.c, row.url); got != row.want {
			t.Errorf("%s: %s, want %s", row.url, got, row.want)
		}
	}
	// The registration port serves no requests.
	if got := get(d.client(d.orders), outer.url("registrations", "/whoami")); got != "refused" { // its certificate is of another authority
		t.Error(got)
	}
}

// Ready, readiness and status follow the tunnels.
// Covers L11.
func TestReadinessCoversTunnels(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer := d.startGateway(mtlsguard.Options{})
	if code, why := ready(outer.server); code != 503 || why != "no server has registered\n" {
		t.Errorf("got %d %q, want 503 before a server has registered", code, why)
	}
	s := d.inside()
	inner := s.start(mtlsguard.Options{})
	for name, server := range map[string]*mtlsguard.Server{"outer": outer.server, "inner": inner.server} {
		testkit.Eventually(t, name+" is ready", func() bool { code, _ := ready(server); return code == 200 })
	}
	testkit.Eventually(t, "two tunnels", func() bool {
		return inner.server.Status().Gateways[d.registrations] == 2 && outer.server.Status().Services["orders"] == 2
	})
	if ports := inner.server.Status().Ports; len(ports) != 1 || ports[0].Name != "tunnel" || ports[0].Connections != 2 || ports[0].FreshUntil.IsZero() {
		t.Errorf("got the ports %+v, want tunnel with two connections", ports)
	}
	if outer.server.Status().Gateways != nil || inner.server.Status().Services != nil {
		t.Error("the two tunnels are one")
	}
	get(d.client(d.alice), outer.url("external", "/whoami"))
	if p := inner.server.Status().Ports[0]; p.Allowed != 1 {
		t.Errorf("got %+v, want one request allowed", p)
	}
	inner.end()
	testkit.Eventually(t, "the gateway is not ready", func() bool { code, _ := ready(outer.server); return code == 503 })
	if code, _ := ready(inner.server); code != 503 {
		t.Error("the ended server is ready")
	}
	for _, event := range []string{"ready", "drain"} {
		if len(inner.log.find("event", event, "port", "tunnel", "remote", d.registrations, "services", "orders", "subject", "localhost")) < 2 {
			t.Errorf("no %s in %s", event, inner.log.text())
		}
		testkit.Eventually(t, event+" in the gateway's log", func() bool { // the log is written later
			return len(outer.log.find("event", event, "port", "registrations", "services", "orders", "subject", "CN=orders")) >= 2
		})
	}
}

// A drain of either side loses no request that is in progress.
func TestDrainOfEitherSideLosesNoRequest(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"outer", "inner"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			outer := d.startGateway(mtlsguard.Options{})
			s := d.inside()
			begun, finish := make(chan struct{}), make(chan struct{})
			s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-finish
				whoamiVia(w, r)
			})
			inner := s.start(mtlsguard.Options{})
			testkit.Eventually(t, "two tunnels", func() bool { return outer.server.Status().Services["orders"] == 2 })
			answer := make(chan string, 1)
			go func() { answer <- get(d.client(d.alice), outer.url("external", "/whoami")) }()
			<-begun
			stopped := outer
			if side == "inner" {
				stopped = inner
			}
			stopped.stop()
			testkit.Eventually(t, "draining", func() bool { return len(stopped.log.find("msg", "draining")) > 0 })
			time.Sleep(50 * time.Millisecond)
			close(finish)
			if got := <-answer; got != "200 alice tunnel tunnel" {
				t.Error(got)
			}
			stopped.end()
			testkit.Eventually(t, "the gateway knows of both tunnels", func() bool { return len(outer.log.find("msg", "takes no more requests")) == 2 }) // the server announced its drain
		})
	}
}

// A server without its gateway is not ready, and becomes ready as soon as the gateway is back.
func TestInnerServerConnectsWhenTheGatewayStarts(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	address := testkit.FreeAddress(t)
	d.put(config, strings.Replace(d.get(config), "name: registrations\n    listen: 127.0.0.1:0", "name: registrations\n    listen: "+address, 1))
	d.registrations = address
	s := d.inside()
	l := s.background()
	testkit.Eventually(t, "an attempt", func() bool { return len(l.log.find("event", "handshake", "outcome", "failed", "error", "refused")) > 0 })
	if code, why := ready(l.server); code != 503 || !strings.Contains(why, "no gateway is connected") {
		t.Errorf("got %d %s, want 503 without a gateway", code, why)
	}
	outer := d.startGateway(mtlsguard.Options{})
	testkit.Eventually(t, "ready", func() bool { code, _ := ready(l.server); return code == 200 })
	if got := get(d.client(d.alice), outer.url("external", "/whoami")); got != "200 alice tunnel tunnel" {
		t.Error(got)
	}
}

// A registration address that is in use is an error that ends the server and its tunnels.
func TestRegistrationAddressInUseIsAnError(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer := d.startGateway(mtlsguard.Options{})
	s := d.inside()
	taken := strings.TrimPrefix(outer.url("external", ""), "https://")
	s.put(config, s.get(config)+"ports:\n  - {name: lan, listen: '"+taken+"', client_cert: require, certificate: {cert: server.pem, key: server-key.pem}, trust: {anchors: [ca.pem]}}\n")
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if err := server.Serve(ctx, s.handler); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
}

// A request without a tunnel waits, and is refused with Retry-After.
// Covers K8.
func TestRequestWithoutATunnelIsRefused(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer := d.startGateway(mtlsguard.Options{})
	res, err := d.client(d.alice).Get(outer.url("external", "/whoami"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d with %v, want 503 and Retry-After", res.StatusCode, res.Header)
	}
	testkit.Eventually(t, "the log says so", func() bool {
		return len(outer.log.find("event", "tunnel", "outcome", "failed", "services", "orders")) == 1
	})
}

// A client may upgrade to a protocol in the registration's list, and to no other.
// Covers K7.
func TestUpgradesPassThroughTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.sub(config, "registration: {", "registration: {upgrades: [websocket], ")
	outer := d.startGateway(mtlsguard.Options{})
	s := d.inside()
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nhello "+id.User)
	})
	s.start(mtlsguard.Options{})
	pair := d.alice.TLS()
	for protocol, want := range map[string]string{"websocket": "101 hello alice", "ssh": "501 "} {
		c, err := tls.Dial("tcp", strings.TrimPrefix(outer.url("external", ""), "https://"), &tls.Config{RootCAs: d.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testkit.Patience))
		io.WriteString(c, "GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
		reader := bufio.NewReader(c)
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := res.Status[:3] + " "
		if res.StatusCode == 101 {
			rest, _ := io.ReadAll(reader)
			got += string(rest)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", protocol, got, want)
		}
	}
}
