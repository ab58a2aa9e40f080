package ocsp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1" // the names of a CertID
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

var (
	oidSHA1      = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidBasic     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidNoCheck   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidUndefined = asn1.ObjectIdentifier{1, 2, 3, 4, 5}
	ecdsaSHA1    = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}
	ecdsaSHA256  = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

var (
	good    = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0}
	unknown = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2}
)

// revoked returns a RevokedInfo with that time, without a reason.
func revoked(at time.Time) asn1.RawValue {
	der := must(asn1.MarshalWithParams(at.UTC().Truncate(time.Second), "generalized"))
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: der}
}

type certID struct {
	Hash      pkix.AlgorithmIdentifier
	Name, Key []byte
	Serial    *big.Int
}

type single struct {
	ID         certID
	Status     asn1.RawValue
	This       time.Time        `asn1:"generalized"`
	Next       time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional,omitempty"`
}

type data struct {
	Responder  asn1.RawValue
	Produced   time.Time `asn1:"generalized"`
	Singles    []single
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional,omitempty"`
}

type basic struct {
	Data         asn1.RawValue
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional,omitempty"`
}

type outer struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type asn1.ObjectIdentifier
		Body []byte
	} `asn1:"explicit,tag:0"`
}

// reply is a response before it is signed. A test changes one property of it.
type reply struct {
	data
	Signer    *testpki.Pair
	Hash      crypto.Hash
	Algorithm asn1.ObjectIdentifier
	Send      []*x509.Certificate
	Type      asn1.ObjectIdentifier
	Inside    func(der []byte) []byte // changes the data before it is signed
	Basic     func(der []byte) []byte // changes the content of the OCTET STRING
}

// replyTo returns a good answer for cert, signed by its issuer ca.
func replyTo(ca *testpki.Pair, cert *x509.Certificate, now time.Time) *reply {
	r := &reply{Signer: ca, Hash: crypto.SHA256, Algorithm: ecdsaSHA256, Type: oidBasic}
	r.Produced = stamp(now)
	r.Responder = byName(ca.Cert)
	r.Singles = []single{{
		ID: idOf(ca.Cert, cert.SerialNumber), Status: good,
		This: stamp(now.Add(-time.Minute)), Next: stamp(now.Add(12 * time.Hour)),
	}}
	return r
}

func stamp(at time.Time) time.Time { return at.UTC().Truncate(time.Second) }

func byName(c *x509.Certificate) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: c.RawSubject}
}

func byKey(c *x509.Certificate) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: must(asn1.Marshal(publicKeyHash(c)))}
}

func publicKeyHash(c *x509.Certificate) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	must(asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info))
	sum := sha1.Sum(info.Key.Bytes) // as above
	return sum[:]
}

func idOf(issuer *x509.Certificate, serial *big.Int) certID {
	name := sha1.Sum(issuer.RawSubject) // as above
	return certID{Hash: pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, Name: name[:], Key: publicKeyHash(issuer), Serial: serial}
}

// der signs r.
func (r *reply) der() []byte {
	inside := must(asn1.Marshal(r.data))
	if r.Inside != nil {
		inside = r.Inside(inside)
	}
	h := r.Hash.New()
	h.Write(inside)
	sig := must(r.Signer.Key.Sign(rand.Reader, h.Sum(nil), r.Hash))
	b := basic{
		Data: asn1.RawValue{FullBytes: inside}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: r.Algorithm},
		Signature: asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)},
	}
	for _, c := range r.Send {
		b.Certificates = append(b.Certificates, asn1.RawValue{FullBytes: c.Raw})
	}
	var o outer
	o.Bytes.Type, o.Bytes.Body = r.Type, must(asn1.Marshal(b))
	if r.Basic != nil {
		o.Bytes.Body = r.Basic(o.Bytes.Body)
	}
	return must(asn1.Marshal(o))
}

// delegate returns a certificate that may sign answers for ca.
func delegate(ca *testpki.Pair, options ...testpki.Option) *testpki.Pair {
	return ca.Leaf("responder", append([]testpki.Option{func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
	}}, options...)...)
}

// signedBy makes a delegate the signer of r.
func (r *reply) signedBy(d *testpki.Pair) {
	r.Signer, r.Send, r.Responder = d, []*x509.Certificate{d.Cert}, byName(d.Cert)
}

// responder is a fake responder on loopback.
type responder struct {
	*httptest.Server
	queries atomic.Int64
	mu      sync.Mutex
	serve   func(w http.ResponseWriter, request []byte)
}

func newResponder(t testing.TB) *responder {
	r := &responder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.queries.Add(1)
		body, _ := io.ReadAll(req.Body)
		if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%s with %q", req.Method, req.Header.Get("Content-Type"))
		}
		r.mu.Lock()
		serve := r.serve
		r.mu.Unlock()
		serve(w, body)
	}))
	t.Cleanup(r.Close)
	return r
}

// use sets the handler of the next requests.
func (r *responder) use(serve func(w http.ResponseWriter, request []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve = serve
}

func (r *responder) answer(der []byte) {
	r.use(func(w http.ResponseWriter, _ []byte) { write(w, der) })
}

func write(w http.ResponseWriter, der []byte) {
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(der) // the client may have closed the connection
}

// wantQueries checks the number of queries so far.
func (r *responder) wantQueries(t testing.TB, want int64) {
	t.Helper()
	if got := r.queries.Load(); got != want {
		t.Fatalf("%d queries, want %d", got, want)
	}
}

// clock is a clock that stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// setBack does what a system does: the monotonic clock goes on.
func (c *clock) setBack(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = testkit.SetBack(c.at, d)
}

// world is one authority, one leaf, one responder and a client of that responder.
type world struct {
	ca, leaf  *testpki.Pair
	responder *responder
	clock     *clock
	client    *ocsp.Client
}

func newWorld(t testing.TB, options ...func(*ocsp.Config)) *world {
	t.Helper()
	w := &world{ca: testpki.NewCA("Client CA"), responder: newResponder(t), clock: &clock{at: time.Now()}}
	w.leaf = w.ca.Leaf("alice")
	config := ocsp.Config{URL: w.responder.URL, Now: w.clock.now}
	for _, o := range options {
		o(&config)
	}
	client, err := ocsp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	return w
}

// reply returns a good answer for the leaf, with the changes.
func (w *world) reply(changes ...func(*reply)) []byte {
	r := replyTo(w.ca, w.leaf.Cert, w.clock.now())
	for _, c := range changes {
		c(r)
	}
	return r.der()
}

// status queries the status of the leaf.
func (w *world) status(t testing.TB) (trust.Status, time.Time, error) {
	t.Helper()
	return w.of(t, w.leaf)
}

func (w *world) of(t testing.TB, p *testpki.Pair) (trust.Status, time.Time, error) {
	t.Helper()
	status, until, err := w.client.Status(t.Context(), p.Cert, w.ca.Cert)
	if (status == trust.StatusUnknown) != (err != nil) {
		t.Fatalf("status %d with error %v", status, err)
	}
	if err != nil && (len(err.Error()) > 250 || slices.ContainsFunc([]byte(err.Error()), func(b byte) bool { return b < ' ' || b > '~' })) {
		t.Fatalf("the error is long or has unprintable characters: %q", err)
	}
	return status, until, err
}

// expect queries the status of the leaf, and fails unless it is want.
func (w *world) expect(t testing.TB, want trust.Status) error {
	t.Helper()
	got, _, err := w.status(t)
	if got != want {
		t.Fatalf("got status %d (%v), want %d", got, err, want)
	}
	return err
}

func isRevoked(r *reply) { r.Singles[0].Status = revoked(r.Produced.Add(-time.Hour)) }

// sum hashes with another algorithm than the request.
func sum(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
