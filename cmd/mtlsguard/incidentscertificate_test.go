package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

var (
	partnerCall = call{client: "partner", method: "GET", path: "/orders/7"}
	carolCall   = call{client: "carol", method: "GET", path: "/orders/7"}
)

const (
	explainReference = "mtlsguard explain --config mtlsguard.yaml --log server.log --reference $REFERENCE"
	explainRefused   = "mtlsguard explain --config mtlsguard.yaml --log server.log --refused"
	unmapped         = "403 unmapped"
)

func ended(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
}

func early(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }

func endedList(l *x509.RevocationList) {
	l.ThisUpdate, l.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
}

// renew gives the partner another certificate, and the server's people its file.
func (n *nightSite) renew(key crypto.Signer, options ...testpki.Option) *testpki.Pair {
	p := n.ca.LeafWithKey("partner", key, options...)
	n.clients["partner"] = p
	n.pair("NEW", p)
	return p
}

// partnerHas maps the partner to a certificate that is not valid now.
func partnerHas(option testpki.Option) func(*nightSite) {
	return func(n *nightSite) { n.mapPartner(n.renew(testpki.NewKey(), option)) }
}

func renewed(n *nightSite) { n.renew(testpki.NewKey()) }

// renewedAfterCall renews the partner's certificate after the log has a call with the old one.
func renewedAfterCall(key func(*testpki.Pair) crypto.Signer) func(*nightSite) {
	return func(n *nightSite) {
		if a := n.send(partnerCall); a.status != http.StatusOK {
			n.Fatal(a)
		}
		n.renew(key(n.clients["partner"]))
	}
}

// forgets makes carol's client leave out the intermediate certificate, and remembers makes it
// send the one that the hint names.
func forgets(n *nightSite) {
	n.clients["carol"] = &testpki.Pair{Cert: n.clients["carol"].Cert, Key: n.clients["carol"].Key}
	n.pair("carol", n.clients["carol"])
}

func remembers(n *nightSite, _ pasting) { n.clients["carol"].Chain = []*x509.Certificate{n.sub.Cert} }

// chooses makes a client choose its certificate by the names of authorities, as Java does.
func chooses(c *tls.Config) {
	if certificate, err := c.GetClientCertificate(nil); err == nil {
		c.GetClientCertificate, c.Certificates = nil, []tls.Certificate{*certificate}
	}
}

// renewedAuthority gives the partner a certificate of the same name and key from a client
// authority that has a new key. The mapping is by key.
func renewedAuthority(n *nightSite) {
	ca := testpki.NewCA("Client CA", inAcme)
	n.put("client-ca-2.pem", certificateText(ca.Cert))
	n.put("client-ca-2.crl", revocationText(ca.CRL(1, nil)))
	n.renewedCA, n.clients["partner"] = ca, ca.Leaf("partner")
	n.mapPartner(n.clients["partner"])
}

// renewedAuthorityOfPatterns does it where mappings are for the authority. One of them is disabled.
func renewedAuthorityOfPatterns(n *nightSite) {
	renewedAuthority(n)
	n.edit("users.yaml", "  - {id: staff,", "  - {id: frank, user: frank, subject: \"CN=frank,OU=Staff,O=Acme\", issuer: client-ca.pem, disabled: true}\n  - {id: staff,")
	n.edit("policy.csv", "g, user:bob, group:staff", "g, user:bob, group:staff\ng, user:frank, group:staff")
	n.clients["bert"], n.clients["frank"] = n.renewedCA.Leaf("bob", asStaff), n.renewedCA.Leaf("frank", asStaff)
}

// frankStaysOut checks that the disabled user is not let in with a certificate of the new key.
func frankStaysOut(n *nightSite) {
	if a := n.send(call{client: "frank", method: "GET", path: "/orders/7"}); a.String() != unmapped {
		n.Errorf("a disabled user gets %s", a)
	}
}

// listEnded makes the CRL of the clients' authority end.
func listEnded(n *nightSite) {
	n.put("client-ca.crl", revocationText(n.ca.CRL(1, nil, endedList)))
}

// fetchDead makes it end, because the server that publishes it has moved.
func fetchDead(n *nightSite) {
	listEnded(n)
	list := n.ca.CRL(2, nil).Raw
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(list) }))
	n.Cleanup(moved.Close)
	dead := httptest.NewServer(nil)
	dead.Close()
	n.vars["$DEAD"], n.vars["$MOVED"] = dead.URL, moved.URL
	n.edit("mtlsguard.yaml", "revocation: hard", "revocation: hard\n      fetch: [{url: \""+dead.URL+"/client-ca.crl\", file: client-ca.crl}]")
}

// certificateIncidents are about the client's certificate, its authority and its revocation.
var certificateIncidents = []incident{
	{name: "expired", before: partnerHas(ended), call: partnerCall, fails: "tls: expired certificate", log: []string{`"reason":"expired"`},
		command: explainRefused, cause: "refused in the handshake, expired", mend: "the client needs another certificate",
		partner: renewed, fill: map[string]string{"NAME": "partner"}},
	{name: "renewed with a new key", after: renewedAfterCall(func(*testpki.Pair) crypto.Signer { return testpki.NewKey() }), call: partnerCall, fails: unmapped,
		command: explainReference, cause: "the certificate was probably renewed", mend: "Map the new one too"},
	{name: "renewed with the same key", after: renewedAfterCall(func(p *testpki.Pair) crypto.Signer { return p.Key }), call: partnerCall, fails: unmapped,
		command: explainReference, cause: "the certificate was probably renewed", mend: "or map its key",
		later: func(n *nightSite) { n.renew(n.clients["partner"].Key) }},
	{name: "no intermediate", before: forgets, call: carolCall, fails: "tls: unknown certificate authority", log: []string{`"reason":"unknown-authority"`, "CN=carol"},
		command: explainRefused, cause: "whose certificate was not sent", mend: "the client must send that certificate too, after its own: CN=Issuing CA,O=Acme", apply: remembers},
	{name: "a foreign authority", call: call{client: "dora", method: "GET", path: "/orders/7"}, fails: "tls: unknown certificate authority", log: []string{`"reason":"unknown-authority"`},
		command: explainRefused, cause: "no known issuer has a similar name", mend: "to trust the issuer", fill: map[string]string{"ISSUER": "partner-ca"}},
	{name: "an authority renewed under its name", before: renewedAuthority, call: partnerCall, fails: "tls: unknown certificate authority", log: []string{`"reason":"unknown-authority"`},
		command: explainRefused, cause: "has the issuer's name, but another key", mend: "if the new key is the authority's, trust it", fill: map[string]string{"ISSUER": "client-ca-2"}},
	{name: "an authority renewed under its name, with mappings", before: renewedAuthorityOfPatterns, call: call{client: "bert", method: "GET", path: "/orders/7"}, fails: "tls: unknown certificate authority",
		log: []string{`"reason":"unknown-authority"`, "CN=bob"}, command: explainRefused, cause: "has the issuer's name, but another key", mend: "if the new key is the authority's",
		fill: map[string]string{"ISSUER": "client-ca-2"}, later: frankStaysOut},
	{name: "a CRL that ended", before: listEnded, call: partnerCall, fails: "tls: bad certificate", log: []string{`"reason":"revocation-unknown"`},
		command: explainRefused, cause: "is past its next update", mend: "Put the issuer's newest CRL in its place",
		partner: func(n *nightSite) { n.put("ISSUER.crl", revocationText(n.ca.CRL(2, nil))) }},
	{name: "a dead fetch", before: fetchDead, call: partnerCall, fails: "tls: bad certificate", log: []string{`cannot be fetched`},
		command: explainRefused, cause: "$DEAD/client-ca.crl cannot be fetched", mend: "Mend the URL", fill: map[string]string{"URL": "$MOVED/client-ca.crl"}},
	{name: "a clock", before: partnerHas(early), call: partnerCall, fails: "tls: expired certificate", log: []string{`"reason":"not-yet-valid"`},
		command: explainRefused, cause: "a clock is wrong, here or at the authority", mend: "the client needs another certificate",
		partner: renewed, fill: map[string]string{"NAME": "partner"}},
	{name: "a client that chooses by the names of authorities", before: forgets, call: call{client: "carol", method: "GET", path: "/orders/7", config: chooses},
		fails: "tls: certificate required", log: []string{`"reason":"no-certificate"`}, command: "mtlsguard check $INTERNAL /orders/7 --cacert server-ca.pem --cert carol.pem --key carol-key.pem",
		cause: "Java and .NET would send no certificate: the issuer CN=Issuing CA,O=Acme", mend: "put them after the leaf", apply: remembers},
}
