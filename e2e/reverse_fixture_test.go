package e2e

import (
	"context"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// dmz is the site of a gateway. It adds an authority for gateways and one for servers that
// register.
type dmz struct {
	*site
	gatewayCA, registrationCA *testpki.Pair
	gateway, orders           *testpki.Pair
	registrations             string // address
}

const dmzConfig = `reload: 0
ports:
  - name: external
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
    strict: false
    tunnel: {service: orders, check: believed}
    limits: {drain: 1s}
  - name: registrations
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: gateway.pem, key: gateway-key.pem}
    trust: {anchors: [registration-ca.pem], crls: [registration-ca.crl]}
    registration: {services: [{name: orders, names: [orders.internal.example]}]}
    limits: {drain: 1s}
`

// Replacements for lines above, by side.
const (
	tunnelLine       = "tunnel: {service: orders, check: believed}"
	registrationLine = "registration: {services: [{name: orders, names: [orders.internal.example]}]}"
)

const insideConfig = `users: users.yaml
policy: policy.csv
reload: 0
reverse:
  name: tunnel
  gateways: ["GATEWAY"]
  services: [orders]
  certificate: {cert: orders.pem, key: orders-key.pem}
  gateway: {anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names: [gateway.acme.example]}
  clients: {anchors: [ca.pem], crls: [ca.crl]}
  strict: true
`

const insidePolicy = `p, group:Everybody, tunnel, GET, /whoami, allow
p, user:alice, *, GET, /orders/*, allow
`

func newDMZ(tb testing.TB) *dmz {
	d := &dmz{site: newSite(tb), gatewayCA: testpki.NewCA("Gateway CA"), registrationCA: testpki.NewCA("Registration CA")}
	d.gateway = d.gatewayCA.Server(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, gatewayName) })
	d.orders = d.registrationCA.Leaf("orders", named("orders.internal.example"))
	d.put("gateway.pem", string(d.gateway.CertPEM()))
	d.put("gateway-key.pem", string(d.gateway.KeyPEM()))
	d.put("registration-ca.pem", string(d.registrationCA.CertPEM()))
	d.put("registration-ca.crl", crlPEM(d.registrationCA.CRL(1, nil)))
	d.put(config, dmzConfig)
	return d
}

// inside returns the site of a server behind d, with the callers' authority of d.
func (d *dmz) inside() *site {
	s := newSite(d.TB)
	s.ca, s.alice, s.bob = d.ca, d.alice, d.bob
	s.put("ca.pem", d.get("ca.pem"))
	s.put("ca.crl", s.crl(1))
	s.put("gateway-ca.pem", string(d.gatewayCA.CertPEM()))
	s.put("gateway-ca.crl", crlPEM(d.gatewayCA.CRL(1, nil)))
	s.put("orders.pem", string(d.orders.CertPEM()))
	s.put("orders-key.pem", string(d.orders.KeyPEM()))
	s.put("policy.csv", insidePolicy)
	s.put("users.yaml", "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n")
	s.put(config, strings.Replace(insideConfig, "GATEWAY", d.registrations, 1))
	s.handler = http.HandlerFunc(whoamiVia)
	return s
}

// whoamiVia answers "user via port".
func whoamiVia(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	if hop, ok := reverse.HopFromContext(r.Context()); id.Via == identity.Tunnel && (!ok || hop.Gateway.Leaf() == nil) {
		io.WriteString(w, "no hop ")
	}
	for name := range r.Header {
		if strings.Contains(strings.ToLower(name), "cert") {
			io.WriteString(w, name+" ")
		}
	}
	io.WriteString(w, id.User+" "+string(id.Via)+" "+id.Port)
}

// startGateway starts d's server and keeps its registration address for inside.
func (d *dmz) startGateway(options mtlsguard.Options) *live {
	d.Helper()
	l := d.start(options)
	d.registrations = strings.TrimPrefix(l.url("registrations", ""), "https://")
	return l
}

// startBoth starts the gateway and the inner server with their default sites.
func (d *dmz) startBoth() (outer, inner *live) {
	d.Helper()
	outer = d.startGateway(mtlsguard.Options{})
	inner = d.inside().start(mtlsguard.Options{})
	return outer, inner
}

// background starts a server that may never become ready.
func (s *site) background() *live {
	s.Helper()
	l := &live{site: s, log: &lines{}, ended: make(chan error, 1)}
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Log: mtlsguard.JSONLog(l.log, nil)})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.server, l.stop = server, cancel
	go func() { l.ended <- server.Serve(ctx, s.handler) }()
	s.Cleanup(func() {
		cancel()
		<-l.ended
	})
	return l
}

func pinOf(holder *testpki.Pair) string { return trust.FingerprintOf(holder.Cert).String() }

func serialsOf(all ...*testpki.Pair) []*big.Int {
	var out []*big.Int
	for _, p := range all {
		out = append(out, p.Cert.SerialNumber)
	}
	return out
}
