package ocsp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

const (
	minute = time.Minute
	hour   = time.Hour
)

// Covers G3.
func TestGenuineAnswersAreAccepted(t *testing.T) {
	w := newWorld(t)
	now := w.clock.now()
	rsaKey := testkit.RSAKey(t, 2048)
	for _, row := range []struct {
		name   string
		change func(*reply)
		want   trust.Status
		until  time.Duration // from now
	}{
		{"good", func(*reply) {}, trust.StatusGood, hour},
		{"good, until its next update", func(r *reply) { r.Singles[0].Next = stamp(now).Add(10 * minute) }, trust.StatusGood, 10 * minute},
		{"good, a minute past its next update", func(r *reply) { r.Singles[0].This, r.Singles[0].Next = stamp(now.Add(-hour)), stamp(now.Add(-minute)) }, trust.StatusGood, 30 * time.Second},
		{"good, four minutes ahead", func(r *reply) { r.Singles[0].This, r.Produced = stamp(now.Add(4*minute)), stamp(now.Add(4*minute)) }, trust.StatusGood, hour},
		{"good, without a next update", func(r *reply) { r.Singles[0].This, r.Singles[0].Next = stamp(now).Add(-20*minute), time.Time{} }, trust.StatusGood, 40 * minute},
		{"good, signer named by key", func(r *reply) { r.Responder = byKey(w.ca.Cert) }, trust.StatusGood, hour},
		{"good, the issuer's certificate sent along", func(r *reply) { r.Send = []*x509.Certificate{w.ca.Cert} }, trust.StatusGood, hour},
		{"good, by a delegate", func(r *reply) { r.signedBy(delegate(w.ca)) }, trust.StatusGood, hour},
		{"good, by a delegate, more certificates after it", func(r *reply) { r.signedBy(delegate(w.ca)); r.Send = append(r.Send, w.ca.Cert) }, trust.StatusGood, hour},
		{"good, by a delegate named by key", func(r *reply) { d := delegate(w.ca); r.signedBy(d); r.Responder = byKey(d.Cert) }, trust.StatusGood, hour},
		{"good, by a delegate without key usage", func(r *reply) {
			r.signedBy(delegate(w.ca, func(c *x509.Certificate) { c.KeyUsage = 0 }))
		}, trust.StatusGood, hour},
		{"good, by a delegate with an RSA key", func(r *reply) {
			r.signedBy(testpki.Make(w.ca, rsaKey, delegate(w.ca).Cert, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
				c.SignatureAlgorithm = 0
			}))
			r.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
		}, trust.StatusGood, hour},
		{"good, by a delegate that expires soon", func(r *reply) {
			r.signedBy(delegate(w.ca, func(c *x509.Certificate) { c.NotAfter = stamp(now).Add(5 * minute) }))
		}, trust.StatusGood, 5 * minute},
		{"good, others revoked", func(r *reply) {
			other := r.Singles[0]
			other.ID.Serial = big.NewInt(1)
			other.Status = revoked(now)
			r.Singles = []single{other, r.Singles[0], other}
		}, trust.StatusGood, hour},
		{"good, this serial of another issuer revoked", func(r *reply) {
			other := r.Singles[0]
			other.ID.Name = sum(nil)[:20]
			other.Status = revoked(now)
			r.Singles = []single{other, r.Singles[0]}
		}, trust.StatusGood, hour},
		{"good, extensions that are not critical", func(r *reply) {
			r.Extensions = []pkix.Extension{{Id: oidUndefined, Value: []byte{5, 0}}, {Id: oidNonce, Value: []byte{4, 1, 7}}}
			r.Singles[0].Extensions = []pkix.Extension{{Id: oidUndefined, Value: []byte{5, 0}}}
		}, trust.StatusGood, hour},
		{"revoked", isRevoked, trust.StatusRevoked, hour},
		{"revoked, by a delegate", func(r *reply) { isRevoked(r); r.signedBy(delegate(w.ca)) }, trust.StatusRevoked, hour},
		{"revoked, on hold", func(r *reply) {
			isRevoked(r)
			r.Singles[0].Status.Bytes = append(r.Singles[0].Status.Bytes, 0xa0, 3, 10, 1, 6)
		}, trust.StatusRevoked, hour},
		{"revoked, stale", func(r *reply) {
			isRevoked(r)
			r.Singles[0].This, r.Singles[0].Next = stamp(now.Add(-2*hour)), stamp(now.Add(-hour))
		}, trust.StatusRevoked, 30 * time.Second},
		{"good and revoked", func(r *reply) {
			bad := r.Singles[0]
			bad.Status = revoked(now)
			r.Singles = append(r.Singles, bad)
		}, trust.StatusRevoked, hour},
		{"revoked and good", func(r *reply) {
			r.Singles = append(r.Singles, r.Singles[0])
			isRevoked(r)
		}, trust.StatusRevoked, hour},
		{"revoked and unknown", func(r *reply) {
			r.Singles = append(r.Singles, r.Singles[0])
			r.Singles[1].Status = unknown
			isRevoked(r)
		}, trust.StatusRevoked, hour},
		{"good twice, the earlier end", func(r *reply) {
			r.Singles = append(r.Singles, r.Singles[0])
			r.Singles[1].Next = stamp(now).Add(7 * minute)
		}, trust.StatusGood, 7 * minute},
		{"good twice, the earlier end first", func(r *reply) {
			r.Singles = append(r.Singles, r.Singles[0])
			r.Singles[0].Next = stamp(now).Add(7 * minute)
		}, trust.StatusGood, 7 * minute},
	} {
		t.Run(row.name, func(t *testing.T) {
			fresh := *w
			fresh.leaf = w.ca.Leaf("alice") // nothing is cached for it
			fresh.responder.answer(fresh.reply(row.change))
			got, until, err := fresh.status(t)
			if got != row.want {
				t.Fatalf("got %d (%v), want %d", got, err, row.want)
			}
			if off := until.Sub(now.Add(row.until)).Abs(); off > time.Second {
				t.Errorf("until %v from now, want %v", until.Sub(now), row.until)
			}
		})
	}
}

// more appends an element that its schema does not have to a SEQUENCE.
func more(der []byte) []byte {
	var v asn1.RawValue
	must(asn1.Unmarshal(der, &v))
	return must(asn1.Marshal(asn1.RawValue{Tag: v.Tag, Class: v.Class, IsCompound: true, Bytes: append(slices.Clone(v.Bytes), 5, 0)}))
}

func with(version byte) func([]byte) []byte {
	return func(der []byte) []byte {
		var v asn1.RawValue
		must(asn1.Unmarshal(der, &v))
		return must(asn1.Marshal(asn1.RawValue{Tag: v.Tag, IsCompound: true, Bytes: append([]byte{0xa0, 3, 2, 1, version}, v.Bytes...)}))
	}
}

// Covers G3.
func TestInvalidAnswersMeanUnknown(t *testing.T) {
	w := newWorld(t)
	now := w.clock.now()
	other, twin := testpki.NewCA("Other CA"), testpki.NewCA("Client CA")
	below := w.ca.SubCA("Below")
	renamed := testpki.Make(nil, w.ca.Key, &x509.Certificate{Subject: pkix.Name{CommonName: "Renamed"}, IsCA: true, BasicConstraintsValid: true})
	critical := []pkix.Extension{{Id: oidUndefined, Critical: true, Value: []byte{5, 0}}}
	by := func(ca *testpki.Pair, options ...testpki.Option) func(*reply) {
		return func(r *reply) { r.signedBy(delegate(ca, options...)) }
	}
	second := func(change func(*single)) func(*reply) {
		return func(r *reply) {
			r.Singles = append(r.Singles, r.Singles[0])
			change(&r.Singles[1])
		}
	}
	for _, row := range []struct {
		name   string
		change func(*reply)
		want   string // contained in the error, so that the row fails for its own reason
	}{
		{"unknown", func(r *reply) { r.Singles[0].Status = unknown }, "does not know"},
		{"good and unknown", second(func(s *single) { s.Status = unknown }), "does not know"},
		{"good and stale", second(func(s *single) { s.This, s.Next = stamp(now.Add(-2*hour)), stamp(now.Add(-hour)) }), "too old"},

		{"wrong serial", func(r *reply) { r.Singles[0].ID.Serial = big.NewInt(1) }, "for another certificate"},
		{"negated serial", func(r *reply) { r.Singles[0].ID.Serial = new(big.Int).Neg(r.Singles[0].ID.Serial) }, "for another certificate"},
		{"wrong issuer name hash", func(r *reply) { r.Singles[0].ID.Name = sum(nil)[:20] }, "for another certificate"},
		{"wrong issuer key hash", func(r *reply) { r.Singles[0].ID.Key = publicKeyHash(other.Cert) }, "for another certificate"},
		{"the issuer's twin", func(r *reply) { r.Singles[0].ID = idOf(twin.Cert, r.Singles[0].ID.Serial) }, "for another certificate"},
		{"another hash than in the request", func(r *reply) {
			r.Singles[0].ID.Hash.Algorithm = oidSHA256
		}, "for another certificate"},
		{"empty hashes", func(r *reply) { r.Singles[0].ID.Name, r.Singles[0].ID.Key = nil, nil }, "for another certificate"},
		{"for no certificate", func(r *reply) { r.Singles = nil }, "for another certificate"},

		{"stale", func(r *reply) {
			r.Singles[0].This, r.Singles[0].Next = stamp(now.Add(-hour)), stamp(now.Add(-6*minute))
		}, "too old"},
		{"future", func(r *reply) { r.Singles[0].This = stamp(now.Add(6 * minute)) }, "from the future"},
		{"revoked in the future", func(r *reply) { isRevoked(r); r.Singles[0].This = stamp(now.Add(6 * minute)) }, "from the future"},
		{"no next update and old", func(r *reply) { r.Singles[0].This, r.Singles[0].Next = stamp(now.Add(-61*minute)), time.Time{} }, "too old"},
		{"next update before this update", func(r *reply) { r.Singles[0].Next = stamp(now.Add(-2 * minute)) }, "ends before"},
		{"newer than its signature", func(r *reply) { r.Produced = stamp(now.Add(-10 * minute)) }, "thisUpdate is after its producedAt"},
		{"produced in the future", func(r *reply) { r.Produced = stamp(now.Add(6 * minute)) }, "produced in the future"},
		{"produced before the issuer", func(r *reply) { r.Produced = stamp(now.Add(-2 * hour)) }, "outside the validity"},
		{"produced before its delegate", func(r *reply) {
			by(w.ca, func(c *x509.Certificate) { c.NotBefore = now.Add(-minute) })(r)
			r.Produced, r.Singles[0].This = stamp(now.Add(-10*minute)), stamp(now.Add(-10*minute))
		}, "outside the validity"},
		{"produced after its delegate", func(r *reply) {
			by(w.ca, func(c *x509.Certificate) { c.NotAfter = now.Add(minute) })(r)
			r.Produced = stamp(now.Add(3 * minute))
		}, "outside the validity"},

		{"signed by another CA", func(r *reply) { r.Signer = other }, "not signed"},
		{"signed by a twin", func(r *reply) { r.Signer = twin }, "not signed"},
		{"signed by another CA, issuer sent along", func(r *reply) { r.Signer, r.Send = other, []*x509.Certificate{w.ca.Cert} }, "not signed"},
		{"signed by another CA that sends its certificate", func(r *reply) { r.signedBy(other) }, "not issued by"},
		{"signed by a twin that sends its certificate", func(r *reply) { r.signedBy(twin) }, "not issued by"},
		{"signed by the leaf itself", func(r *reply) { r.signedBy(w.leaf) }, "lacks the extended key usage"},
		{"signed with SHA-1", func(r *reply) { r.Hash, r.Algorithm = crypto.SHA1, ecdsaSHA1 }, "too weak"},
		{"an unknown algorithm", func(r *reply) { r.Algorithm = oidUndefined }, "too weak"},
		{"altered after it was signed", func(r *reply) {
			isRevoked(r)
			r.Basic = func([]byte) []byte { // good response data with the signature of revoked data
				var b, ok basic
				must(asn1.Unmarshal(bodyOf(w.reply(isRevoked)), &b))
				must(asn1.Unmarshal(bodyOf(w.reply()), &ok))
				b.Data = ok.Data
				return must(asn1.Marshal(b))
			}
		}, "not signed"},
		{"another name than the signer's", func(r *reply) { r.Responder = byName(other.Cert) }, "another signer"},
		{"another key than the signer's", func(r *reply) { r.Responder = byKey(other.Cert) }, "another signer"},
		{"no signer named", func(r *reply) { r.Responder = asn1.RawValue{Class: 2, Tag: 2, IsCompound: true, Bytes: []byte{4, 0}} }, "responderID"},

		{"delegate without extended key usage", by(w.ca, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "lacks the extended key usage"},
		{"delegate with anyExtendedKeyUsage", by(w.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), "lacks the extended key usage"},
		{"delegate without digitalSignature", by(w.ca, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), "digitalSignature"},
		{"delegate without nocheck", by(w.ca, func(c *x509.Certificate) { c.ExtraExtensions = nil }), "nocheck"},
		{"delegate expired", by(w.ca, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), "expired"},
		{"delegate not yet valid", by(w.ca, func(c *x509.Certificate) { c.NotBefore = now.Add(10 * minute) }), "not yet valid"},
		{"delegate of another authority", by(other), "not issued by"},
		{"delegate of a twin", by(twin), "not issued by"},
		{"delegate of the issuer's key under another name", by(renamed), "not issued by"},
		{"delegate of an authority below", by(below), "not issued by"},
		{"delegate that is an authority", by(w.ca, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "is an authority"},
		{"delegate with a critical extension", by(w.ca, func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, critical...) }), "critical"},
		{"delegate with a weak key", func(r *reply) {
			weak := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
			r.signedBy(testpki.Make(w.ca, weak, delegate(w.ca).Cert, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
			}))
		}, "too small"},
		{"delegate that signs with SHA-1", func(r *reply) {
			r.signedBy(delegate(w.ca))
			r.Hash, r.Algorithm = crypto.SHA1, ecdsaSHA1
		}, "too weak"},
		{"delegate second", func(r *reply) { r.signedBy(delegate(w.ca)); r.Send = []*x509.Certificate{w.ca.Cert, r.Send[0]} }, "another signer"},

		{"critical response extension", func(r *reply) { r.Extensions = critical }, "critical extension"},
		{"critical single extension", func(r *reply) { r.Singles[0].Extensions = critical }, "critical extension"},
		{"critical extension of another's single", second(func(s *single) { s.ID.Serial = big.NewInt(1); s.Extensions = critical }), "critical extension"},
		{"revoked with a critical extension", func(r *reply) { isRevoked(r); r.Singles[0].Extensions = critical }, "critical extension"},
		{"an extension twice", func(r *reply) {
			e := pkix.Extension{Id: oidUndefined, Value: []byte{5, 0}}
			r.Extensions = []pkix.Extension{e, e}
		}, "responseExtensions"},
		{"a malformed nonce", func(r *reply) { r.Extensions = []pkix.Extension{{Id: oidNonce, Value: []byte{5, 0}}} }, "nonce"},

		{"version 2", func(r *reply) { r.Inside = with(1) }, "version"},
		{"another type", func(r *reply) { r.Type = oidUndefined }, "type basic"},
		{"trailing element in the data", func(r *reply) {
			r.Extensions = []pkix.Extension{}
			r.Inside = func(der []byte) []byte { return more(more(der)) }
		}, "ResponseData"},
		{"trailing element that is no extension", func(r *reply) { r.Inside = more }, "responseExtensions"},
		{"trailing element in the basic response", func(r *reply) { r.Basic = more }, "certs"},
		{"trailing bytes in the octet string", func(r *reply) { r.Basic = func(der []byte) []byte { return append(der, 0) } }, "after the"},
		{"an undefined status", func(r *reply) { r.Singles[0].Status.Tag = 3 }, "certStatus"},
		{"good with content", func(r *reply) { r.Singles[0].Status.Bytes = []byte{0} }, "certStatus"},
		{"good that is compound", func(r *reply) { r.Singles[0].Status.IsCompound = true }, "certStatus"},
		{"revoked that is primitive", func(r *reply) { r.Singles[0].Status = asn1.RawValue{Class: 2, Tag: 1} }, "certStatus"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fresh := *newWorld(t) // its own breaker
			fresh.ca, fresh.clock.at = w.ca, now
			fresh.leaf = w.leaf
			fresh.responder.answer(fresh.reply(row.change))
			err := fresh.expect(t, trust.StatusUnknown)
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v: does not contain %q", err, row.want)
			}
		})
	}
}

// bodyOf returns the BasicOCSPResponse of a response.
func bodyOf(der []byte) []byte {
	var o outer
	must(asn1.Unmarshal(der, &o))
	return o.Bytes.Body
}

func TestMalformedAnswersMeanUnknown(t *testing.T) {
	w := newWorld(t)
	whole := w.reply()
	for _, row := range []struct {
		name string
		der  []byte
		want string
	}{
		{"empty", nil, "not one DER value"},
		{"garbage", []byte("<html>no\x00\x1b[31m"), "not one DER value"},
		{"trailing bytes", append(slices.Clone(whole), 0), "not one DER value"},
		{"cut off", whole[:len(whole)-1], "not one DER value"},
		{"successful and empty", []byte{0x30, 3, 10, 1, 0}, "OCSPResponse"},
		{"malformedRequest", []byte{0x30, 3, 10, 1, 1}, "malformedRequest"},
		{"internalError", []byte{0x30, 3, 10, 1, 2}, "internalError"},
		{"tryLater", []byte{0x30, 3, 10, 1, 3}, "tryLater"},
		{"no such status", []byte{0x30, 3, 10, 1, 4}, "responseStatus"},
		{"sigRequired", []byte{0x30, 3, 10, 1, 5}, "sigRequired"},
		{"unauthorized", []byte{0x30, 3, 10, 1, 6}, "unauthorized"},
		{"an integer", []byte{0x30, 3, 2, 1, 0}, "OCSPResponse"},
		{"an empty SEQUENCE", []byte{0x30, 0}, "OCSPResponse"},
		{"of no definite length", []byte{0x30, 0x80, 10, 1, 0, 0, 0}, "not one DER value"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fresh := *newWorld(t)
			fresh.responder.answer(row.der)
			if err := fresh.expect(t, trust.StatusUnknown); !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v: does not contain %q", err, row.want)
			}
		})
	}
}
