package forwarded

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Config is what a Receiver is built from. It is read once, by New.
type Config struct {
	Topology Topology        // how certificates are stated
	Gateways Gateways        // who may state them
	Users    *trust.Verifier // judges the certificates that are stated
	Cache    int             // how many verified statements are kept; 0 is 4096
}

const (
	defaultCache = 4096
	cacheBytes   = 16 << 20 // of statements
	cacheTime    = 10 * time.Minute
	// cacheTexts is how many statements of one leaf are kept: the client has a say in what
	// its gateway states of the issuers, and must not fill the cache with it.
	cacheTexts = 4
)

// Receiver reads what one kind of gateway states. It is immutable and safe for
// concurrent use; a change of trust is a new Receiver.
type Receiver struct {
	topology Topology
	gateways *gateways
	users    *trust.Verifier
	believed *expire.Cache[*entry] // by the text that states the leaf

	mu    sync.Mutex              // of changes
	texts *expire.Cache[[]string] // the keys of believed, by the fingerprint of the leaf
}

// entry is a statement that was verified.
type entry struct {
	chain    string // the other half of what was stated
	verified trust.Verified
}

// New builds a Receiver. Every mistake is reported at once: no topology, nobody who
// is a gateway, no trust, gateways named under an authority that also issues for
// users.
func New(c Config) (*Receiver, error) {
	var wrong errorlist.List
	if c.Topology.format == nil {
		wrong.Add(configerror.Error{What: "Config.Topology is empty", Hint: "RFC9440, Nginx or another constructor says how the gateway states certificates"})
	}
	wrong.Merge(c.Topology.wrong, configerror.Error{})
	if c.Users == nil {
		wrong.Add(configerror.Error{What: "Config.Users is nil", Hint: "the anchors that issue the clients' certificates"})
	}
	if c.Users != nil && c.Users.Usage() != trust.UsageClient {
		wrong.Add(configerror.Error{What: "Config.Users is for " + c.Users.Usage().String(), Hint: "a trust.Verifier of Usage ClientAuth: users are clients"})
	}
	if c.Cache < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Config.Cache is %d", c.Cache), Hint: "0 is 4096"})
	}
	r := &Receiver{topology: c.Topology, users: c.Users, gateways: c.Gateways.compile(&wrong, c.Users)}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	if c.Cache == 0 {
		c.Cache = defaultCache
	}
	r.believed = expire.NewSized[*entry](c.Cache, cacheBytes, cacheTime)
	r.texts = expire.New[[]string](c.Cache, cacheTime)
	return r, nil
}

// GatewayTrust judges the certificate of the connection. What it believes is for
// IsGateway, and for nothing else.
func (r *Receiver) GatewayTrust() *trust.Verifier { return r.gateways.trust }

// IsGateway reports whether a certificate is that of a gateway. It must have been
// believed by GatewayTrust; under any other trust nobody is a gateway.
func (r *Receiver) IsGateway(v trust.Verified) bool { return r.gateways.has(v) }

// Headers returns the names of every header that is read. All ports must delete
// them, in every spelling, whether they have a Receiver or not. The slice is the
// caller's.
func (r *Receiver) Headers() []string { return r.topology.headers() }

// Verify judges what was taken from a gateway's request. The error is a
// *reason.Refusal: bad-header where the statement cannot be read or contradicts
// itself, no-certificate where the gateway had none to state, or the word that
// Users has for the certificate. What the gateway says of it can only refuse it,
// never believe it.
//
// A statement that was verified before is not read again while Users' clock and
// trust allow; it takes less than a microsecond and allocates nothing.
func (r *Receiver) Verify(ctx context.Context, s RawCertificate) (trust.Verified, error) {
	return r.verify(ctx, s, r.users.Verify)
}

// VerifyLocal is Verify without waiting for a responder; see trustaccess.VerifyLocal.
// The error may also be trustaccess.ErrUndecided.
func (r *Receiver) VerifyLocal(s RawCertificate) (trust.Verified, error) {
	return r.verify(context.Background(), s, func(_ context.Context, presented []*x509.Certificate) (trust.Verified, error) {
		return trustaccess.VerifyLocal(r.users, presented)
	})
}

func (r *Receiver) verify(ctx context.Context, s RawCertificate, judge func(context.Context, []*x509.Certificate) (trust.Verified, error)) (trust.Verified, error) {
	if err := r.topology.weigh(&s); err != nil {
		return trust.Verified{}, err
	}
	if known, ok := r.believed.Get(s.cert); ok && known.chain == s.chain &&
		known.verified.Generation() == r.users.Generation() && known.verified.ValidAt(trustaccess.Now(r.users)) {
		return known.verified, nil
	}
	presented, err := r.topology.read(s.cert, s.chain)
	if err != nil {
		return trust.Verified{}, err
	}
	verified, err := judge(ctx, presented)
	if err != nil {
		return trust.Verified{}, err
	}
	if r.gateways.named() && trustaccess.IssuedUnderAnchor(verified, r.gateways.trust) {
		return trust.Verified{}, reason.Refuse(reason.UnknownAuthority, "the chain passes an authority of the gateways: what it issues names no user")
	}
	trustaccess.Remember(r.users, verified) // the gateway is authenticated, and the client has shown its key there
	r.keep(s, verified)
	return verified, nil
}

// keep keeps a statement that was verified: strangers cannot fill the cache. The text is
// copied, so that it does not hold on to the request that it came in.
func (r *Receiver) keep(s RawCertificate, verified trust.Verified) {
	fingerprint := verified.Fingerprint()
	leaf := string(fingerprint[:])
	text := strings.Clone(s.cert)
	r.mu.Lock()
	defer r.mu.Unlock()
	texts, _ := r.texts.Get(leaf)
	if !slices.Contains(texts, text) {
		if len(texts) >= cacheTexts {
			r.believed.Delete(texts[0])
			texts = texts[1:]
		}
		texts = append(slices.Clone(texts), text)
	}
	r.texts.Put(leaf, texts)
	r.believed.PutSized(text, &entry{chain: strings.Clone(s.chain), verified: verified}, 512+len(s.cert)+len(s.chain))
}

// read makes certificates of the text, leaf first.
func (t *Topology) read(cert, chain string) (presented []*x509.Certificate, err error) {
	defer func() {
		// Parsers of certificates have panicked before. A panic is never a pass.
		if p := recover(); p != nil {
			presented, err = nil, bad("reading the statement panicked")
		}
	}()
	ders, err := t.format.decode(cert, chain)
	if err != nil {
		return nil, bad(t.cert + ": " + err.Error())
	}
	presented, err = parse(ders)
	if err != nil {
		return nil, bad(t.cert + ": " + err.Error())
	}
	return presented, nil
}

// bad refuses a statement. The detail never holds what was stated.
func bad(detail string) error { return reason.Refuse(reason.BadHeader, detail) }
