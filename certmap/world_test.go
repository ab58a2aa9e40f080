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

// world is an authority, the key by which mappings name it, and what believes it.
type world struct {
	ca       *testpki.Pair
	other    *testpki.Pair // another trusted authority
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

// verify is the only way to a trust.Verified.
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
	return w.verify(tb, w.ca.Leaf("nobody", options...))
}

func table(tb testing.TB, mappings ...certmap.Mapping) *certmap.Table {
	tb.Helper()
	t, err := certmap.New(mappings...)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// outcome is what Map says: a user, or the word of the refusal in brackets.
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
		tb.Fatalf("%T is no refusal", err)
	}
	if match != (certmap.Match{}) {
		tb.Errorf("a refusal with a match: %+v", match)
	}
	return "[" + string(refusal.Reason) + "]"
}

// mistakes fails unless err holds a mistake that contains text. What was tried is
// for the message.
func mistakes(tb testing.TB, err error, text string, tried ...any) {
	tb.Helper()
	for _, m := range configerror.All(err) {
		if strings.Contains(m.Error(), text) {
			return
		}
	}
	tb.Errorf("%q: no mistake with %q in: %v", tried, text, err)
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

// rdns sets the subject to these RDNs, in the order of the certificate: the most
// significant first. Values are written as they are, whatever they hold.
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
	raw := must(asn1.Marshal(asn1.RawValue{Tag: 4, Bytes: content})) // an OCTET STRING, for its length
	raw[0] = tag
	return raw
}

// each puts every attribute into an RDN of its own.
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

// san sets the alternative names, as raw as they come.
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

// fixed answers every issuer file with one key.
func fixed(d trust.Digest) certmap.Issuer {
	return func(string) (trust.Digest, error) { return d, nil }
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
