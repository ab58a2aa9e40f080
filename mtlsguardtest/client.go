package mtlsguardtest

import (
	"crypto/x509"
	"net/http"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// ClientOption changes a client before its first request.
type ClientOption func(*clientOptions)

type clientOptions struct {
	user      string // of the certificate, where the client's name is not the user's
	template  []testpki.Option
	transport []testkit.ClientOption
	gateway   *forwarded.Topology // nil: the client calls the port itself
}

// ForUser names the user of the certificate of Untrusted, Expired and Revoked. Without it the user
// is alice. Other clients ignore it.
func ForUser(user string) ClientOption { return func(o *clientOptions) { o.user = user } }

// WithTemplate changes the certificate before it is signed, such as its subject or its URIs, for a
// users.yaml or a certmap.Mapper of your own.
func WithTemplate(change func(*x509.Certificate)) ClientOption {
	return func(o *clientOptions) { o.template = append(o.template, change) }
}

// WithTransport changes the transport of the client, such as its protocols and its
// TLSClientConfig.
func WithTransport(change func(*http.Transport)) ClientOption {
	return func(o *clientOptions) { o.transport = append(o.transport, change) }
}

// ThroughGateway makes the client call through a gateway that ends TLS in front of the port, such as
// forwarded.Nginx("", "X-SSL-Client-Verify"): the connection has the certificate of the gateway,
// gateway.acme.example, and each request the headers of a client's certificate that the gateway has
// verified. It is for a configuration with forwarded, whose gateway has anchors: [gateway-ca.pem].
func ThroughGateway(t forwarded.Topology) ClientOption {
	return func(o *clientOptions) { o.gateway = &t }
}

// Client returns a client that sends a certificate of a user. Every user name is mapped: the user
// need not be declared. The policy decides about the requests of the user, so that a misspelt name
// is refused with no-rule.
//
// The client trusts the server, keeps its connections until the test ends, and gives up a request
// after 10 s. Like any http.Transport with TLS settings, it uses HTTP/1.1; WithTransport can change
// that with Protocols.SetHTTP2.
func (p *PKI) Client(user string, options ...ClientOption) *http.Client {
	p.t.Helper()
	checkUser(p.t, "Client", user)
	o := collect(options)
	if len(o.template) == 0 {
		return p.client(p.leaf("Client", user), o)
	}
	return p.client(p.clients.Leaf(user, append([]testpki.Option{ofUser}, o.template...)...), o)
}

// Anonymous returns a client without a certificate. A port that requires one refuses its
// handshake.
func (p *PKI) Anonymous(options ...ClientOption) *http.Client { return p.client(nil, collect(options)) }

// Untrusted returns a client with a certificate of another authority, which names the same user:
// the handshake is refused.
func (p *PKI) Untrusted(options ...ClientOption) *http.Client {
	p.t.Helper()
	return p.wrong("Untrusted", testpki.NewCA("Another CA"), options, ofUser)
}

// Expired returns a client whose certificate has expired: the handshake is refused.
func (p *PKI) Expired(options ...ClientOption) *http.Client {
	p.t.Helper()
	return p.wrong("Expired", p.clients, options, ofUser, ofYesterday)
}

// Revoked returns a client whose certificate is revoked by client-ca.crl: the handshake is
// refused. A configuration of WithConfig must name the CRL in its trust.
func (p *PKI) Revoked(options ...ClientOption) *http.Client {
	p.t.Helper()
	return p.wrong("Revoked", p.clients, options, ofUser, withRevokedSerial)
}

// Stranger returns a client whose certificate is verified, and that no mapping matches: each
// request is refused with unmapped.
func (p *PKI) Stranger(options ...ClientOption) *http.Client {
	o := collect(options)
	return p.client(p.clients.Leaf("stranger", o.template...), o)
}

// wrong returns a client whose certificate differs from that of a user by single properties.
func (p *PKI) wrong(function string, issuer *testpki.Pair, options []ClientOption, properties ...testpki.Option) *http.Client {
	p.t.Helper()
	o := collect(options)
	checkUser(p.t, function, o.user)
	return p.client(issuer.Leaf(o.user, append(properties, o.template...)...), o)
}

func collect(options []ClientOption) clientOptions {
	o := clientOptions{user: "alice"}
	for _, option := range options {
		option(&o)
	}
	return o
}

func (p *PKI) client(holder *testpki.Pair, o clientOptions) *http.Client {
	if o.gateway == nil {
		return testkit.Client(p.t, p.servers.Pool(), holder, o.transport...)
	}
	c := testkit.Client(p.t, p.servers.Pool(), p.gateway, o.transport...)
	g := &gatewayTransport{RoundTripper: c.Transport, topology: *o.gateway}
	if holder != nil {
		g.chain = holder.Presented()
	}
	c.Transport = g
	return c
}

// gatewayTransport is an http.RoundTripper that forwards a certificate.
type gatewayTransport struct {
	http.RoundTripper
	topology forwarded.Topology
	chain    []*x509.Certificate
}

func (g *gatewayTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	g.topology.Write(r.Header, g.chain)
	return g.RoundTripper.RoundTrip(r)
}
