package forwarded

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/presented"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Config configures a Receiver. New reads it once.
type Config struct {
	Topology Topology        // how the gateway forwards certificates
	Gateways Gateways        // the gateways that may forward certificates
	Users    *trust.Verifier // verifies the forwarded certificates
	Cache    int             // verified certificates to remember; 0 means 4096
	ClientIP ClientIP        // the header with the caller's address; zero: none is read
}

// Receiver reads and verifies the certificates that one kind of gateway forwards. It is
// immutable and safe for concurrent use; for other trust, build another Receiver.
type Receiver struct {
	topology Topology
	gateways *gateways
	users    *trust.Verifier
	cache    *cache
	clientIP ClientIP
}

// New returns a Receiver. It reports all errors at once: an empty Topology, no gateway, a
// missing verifier, or gateways that are named under an authority that also issues for
// users.
func New(c Config) (*Receiver, error) {
	var wrong errorlist.List
	if c.Topology.format == nil {
		wrong.Add(configerror.Error{What: "Config.Topology is empty", Hint: "RFC9440, Nginx or another constructor of this package"})
	}
	wrong.Merge(c.Topology.wrong, configerror.Error{})
	if c.Users == nil {
		wrong.Add(configerror.Error{What: "Config.Users is nil", Hint: "a trust.Verifier with the anchors that issue the clients' certificates"})
	}
	if c.Users != nil && c.Users.Usage() != trust.UsageClient {
		wrong.Add(configerror.Error{What: "Config.Users is for " + c.Users.Usage().String(), Hint: "a trust.Verifier whose Usage is UsageClient: users are clients"})
	}
	if c.Cache < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Config.Cache is %d", c.Cache), Hint: "0 means 4096"})
	}
	c.ClientIP.check(&c.Topology, &wrong)
	r := &Receiver{clientIP: c.ClientIP, topology: c.Topology, users: c.Users, gateways: c.Gateways.compile(&wrong, c.Users)}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	r.cache = newCache(c.Cache)
	return r, nil
}

// GatewayTrust returns the verifier for the certificate of the connection. Pass its
// result to IsGateway and use it for nothing else.
func (r *Receiver) GatewayTrust() *trust.Verifier { return r.gateways.trust }

// IsGateway reports whether a certificate is a gateway's. The certificate must have been
// verified by GatewayTrust; for any other verifier IsGateway returns false.
func (r *Receiver) IsGateway(v trust.Verified) bool { return r.gateways.isGateway(v) }

// Headers returns the names of the headers that Read reads. All ports must delete them,
// in every spelling, with or without a Receiver. The caller owns the slice.
func (r *Receiver) Headers() []string { return r.topology.headers() }

// Verify verifies the certificate that a gateway forwarded. Its error is a
// *reason.Refusal: bad-header where the headers cannot be read or contradict one another,
// no-certificate where the gateway reports that the client sent none, or the reason of
// Config.Users. The gateway's verification result can only lead to a refusal.
//
// A certificate that was verified before is not parsed again as long as the clock and
// trust of Config.Users allow it; that takes less than a microsecond and allocates
// nothing. Verify is safe for concurrent use.
func (r *Receiver) Verify(ctx context.Context, raw RawCertificate) (trust.Verified, error) {
	if err := r.topology.checkPresence(&raw); err != nil {
		return trust.Verified{}, err
	}
	if verified, ok := r.cache.get(raw); ok && trustaccess.IsCurrent(r.users, verified) {
		return verified, nil
	}
	certificates, err := r.topology.parse(raw.cert, raw.chain)
	if err != nil {
		return trust.Verified{}, err
	}
	verified, err := r.users.Verify(ctx, certificates)
	if err != nil {
		return trust.Verified{}, presented.With(err, certificates)
	}
	if r.gateways.hasNames() && trustaccess.IssuedUnderAnchor(verified, r.gateways.trust) {
		refusal := reason.Refuse(reason.UnknownAuthority, "the chain contains an authority of the gateways, which cannot issue for users")
		return trust.Verified{}, presented.With(refusal, certificates)
	}
	trustaccess.Remember(r.users, verified) // the client proved possession of its key to an authenticated gateway
	r.cache.put(raw, verified)
	return verified, nil
}

// parse returns the certificates in the gateway's headers, leaf first.
func (t *Topology) parse(cert, chain string) (certificates []*x509.Certificate, err error) {
	defer func() {
		// Certificate parsers have panicked before. A panic is a refusal.
		if p := recover(); p != nil {
			certificates, err = nil, refuseHeader("reading the forwarded certificate panicked")
		}
	}()
	ders, err := t.format.decode(cert, chain)
	if err != nil {
		return nil, refuseHeader(t.cert + ": " + err.Error())
	}
	certificates, err = parseCertificates(ders)
	if err != nil {
		return nil, refuseHeader(t.cert + ": " + err.Error())
	}
	return certificates, nil
}

// refuseHeader returns a refusal as bad-header. The detail must not quote the headers.
func refuseHeader(detail string) error { return reason.Refuse(reason.BadHeader, detail) }
