package certmap_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// world has two trusted authorities, their keys for mappings, and a verifier.
type world struct {
	ca       *testpki.Pair
	other    *testpki.Pair
	key      trust.Digest
	otherKey trust.Digest
	verifier *trust.Verifier
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{ca: testpki.NewCA("Client CA"), other: testpki.NewCA("Other CA")}
	w.key, w.otherKey = trust.SPKIOf(w.ca.Cert), trust.SPKIOf(w.other.Cert)
	verifier, err := trust.New(trust.Config{Anchors: []*x509.Certificate{w.ca.Cert, w.other.Cert}})
	if err != nil {
		tb.Fatal(err)
	}
	w.verifier = verifier
	return w
}

// verify verifies a leaf: only a Verifier can make a trust.Verified.
func (w *world) verify(tb testing.TB, p *testpki.Pair) trust.Verified {
	tb.Helper()
	v, err := w.verifier.Verify(context.Background(), p.Presented())
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (w *world) leaf(tb testing.TB, options ...testpki.Option) trust.Verified {
	tb.Helper()
	return w.verify(tb, w.ca.Leaf("unmapped", options...))
}

func table(tb testing.TB, mappings ...certmap.Mapping) *certmap.Table {
	tb.Helper()
	t, err := certmap.New(mappings...)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// outcome returns the user of Map, or the reason of the refusal in brackets.
func outcome(tb testing.TB, m certmap.Mapper, v trust.Verified, port string) string {
	tb.Helper()
	match, err := m.Map(context.Background(), v, port)
	if err == nil {
		if match.MappingID == "" {
			tb.Errorf("user %q without a mapping", match.User)
		}
		return match.User
	}
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok {
		tb.Fatalf("%T is not a refusal", err)
	}
	if match != (certmap.Match{}) {
		tb.Errorf("a refusal with a match: %+v, want %+v", match, (certmap.Match{}))
	}
	return "[" + string(refusal.Reason) + "]"
}

// wantError fails unless err holds a configuration error that contains text. The input is
// for the message.
func wantError(tb testing.TB, err error, text string, input ...any) {
	tb.Helper()
	for _, m := range configerror.All(err) {
		if strings.Contains(m.Error(), text) {
			return
		}
	}
	tb.Errorf("%q: no error with %q in: %v", input, text, err)
}

// attr is one attribute of a subject, of the given string type.
type attr struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

var (
	oidCN  = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU  = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
)

func cn(v string) attr { return attr{oidCN, asn1.TagUTF8String, v} }
func o(v string) attr  { return attr{oidO, asn1.TagUTF8String, v} }
func ou(v string) attr { return attr{oidOU, asn1.TagUTF8String, v} }

// rdns sets the subject to RDNs in the order of the certificate: the most significant
// first. Values are written as they are, malformed or not.
func rdns(sets ...[]attr) testpki.Option {
	return func(c *x509.Certificate) { c.RawSubject = rawSubject(sets...) }
}

func rawSubject(sets ...[]attr) []byte {
	var all []byte
	for _, set := range sets {
		var one []byte
		for _, a := range set {
			one = append(one, der(0x30, append(must(asn1.Marshal(a.oid)), der(byte(a.tag), []byte(a.value))...))...)
		}
		all = append(all, der(0x31, one)...)
	}
	return der(0x30, all)
}

func der(tag byte, content []byte) []byte {
	raw := must(asn1.Marshal(asn1.RawValue{Tag: 4, Bytes: content})) // an OCTET STRING, for its length bytes
	raw[0] = tag
	return raw
}

// each returns every attribute as an RDN of its own.
func each(attrs ...attr) [][]attr {
	var out [][]attr
	for _, a := range attrs {
		out = append(out, []attr{a})
	}
	return out
}

// subject sets the subject from simple RFC 4514 text of CN, OU, O and UID.
func subject(text string) testpki.Option {
	var sets [][]attr
	for part := range strings.SplitSeq(text, ",") {
		var set []attr
		for pair := range strings.SplitSeq(part, "+") {
			key, value, _ := strings.Cut(pair, "=")
			oid := map[string]asn1.ObjectIdentifier{"CN": oidCN, "O": oidO, "OU": oidOU, "UID": oidUID}[key]
			set = append(set, attr{oid, asn1.TagUTF8String, value})
		}
		sets = append([][]attr{set}, sets...)
	}
	return rdns(sets...)
}

// san sets the alternative names to raw values.
func san(names ...attr) testpki.Option {
	return func(c *x509.Certificate) {
		var all []byte
		for _, n := range names {
			all = append(all, der(byte(n.tag), []byte(n.value))...)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der(0x30, all)})
	}
}

func uris(values ...string) testpki.Option   { return sanOf(0x86, values) }
func dns(values ...string) testpki.Option    { return sanOf(0x82, values) }
func emails(values ...string) testpki.Option { return sanOf(0x81, values) }

func sanOf(tag int, values []string) testpki.Option {
	var names []attr
	for _, v := range values {
		names = append(names, attr{tag: tag, value: v})
	}
	return san(names...)
}

func serial(n int64) testpki.Option {
	return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
}

// issuerKey is an option that returns d as the key of every issuer file.
func issuerKey(d trust.Digest) certmap.Option {
	return certmap.WithIssuers(func(string) (trust.Digest, error) { return d, nil })
}

// load returns the mappings of a file.
func load(name, text string, options ...certmap.Option) ([]certmap.Mapping, error) {
	t, err := certmap.Load(name, strings.NewReader(text), options...)
	if err != nil {
		return nil, err
	}
	return t.Mappings(), nil
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
