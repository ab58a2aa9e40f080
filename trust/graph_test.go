package trust_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// as returns an authority with the name and key of subject, signed by issuer.
func as(issuer, subject *testpki.Pair) *testpki.Pair {
	return testpki.Make(issuer, subject.Key, &x509.Certificate{
		Subject: subject.Cert.Subject, SubjectKeyId: subject.Cert.SubjectKeyId,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// mesh returns a leaf and nine certificates by which authorities sign one another in both
// directions, so that every path through them can be extended. Only way leads out.
func mesh(way *testpki.Pair) certs {
	nodes := []*testpki.Pair{testpki.NewCA("Node 0"), testpki.NewCA("Node 1"), testpki.NewCA("Node 2"), testpki.NewCA("Node 3")}
	presented := certs{nodes[0].Leaf("alice").Cert}
	for i, issuer := range nodes {
		for j, subject := range nodes {
			if i != j && len(presented) < 9 {
				presented = append(presented, as(issuer, subject).Cert)
			}
		}
	}
	if way != nil {
		return append(presented, as(way, nodes[2]).Cert)
	}
	return append(presented, as(nodes[3], nodes[2]).Cert)
}

// crowd returns a leaf below nine authorities of one name with a key each. The last one
// signed it.
func crowd(ca *testpki.Pair) certs {
	var all certs
	var last *testpki.Pair
	for range 9 {
		last = ca.SubCA("Same")
		all = append(all, last.Cert)
	}
	return append(certs{last.Leaf("alice").Cert}, all...)
}

// ladder returns a leaf below authorities of one name and one key: each can be the issuer of
// every other one.
func ladder(out *testpki.Pair) certs {
	same := testpki.NewCA("Same")
	presented := certs{same.Leaf("alice").Cert}
	for len(presented) < 9 {
		presented = append(presented, as(same, same).Cert)
	}
	if out == nil {
		out = same
	}
	return append(presented, as(out, same).Cert)
}

// circle returns a leaf below two authorities that have signed each other and lead to no
// anchor.
func circle() certs {
	a, b := testpki.NewCA("A"), testpki.NewCA("B")
	return certs{a.Leaf("alice").Cert, as(b, a).Cert, as(a, b).Cert}
}

// deep returns a leaf below nine authorities, one under the other.
func deep(ca *testpki.Pair) certs {
	for i := range 9 {
		ca = ca.SubCA(fmt.Sprint("Level ", i))
	}
	return ca.Leaf("alice").Presented()
}

// Covers B11.
func TestHostileGraphsOfAuthoritiesAreCheap(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := trusting(t, ca.Cert)
	for _, row := range []struct {
		name      string
		presented certs
		want      reason.Reason
	}{
		{"mesh", mesh(nil), reason.UnknownAuthority},
		{"mesh with a way out", mesh(ca), ""},
		{"crowd", crowd(ca), ""},
		{"crowd of another CA", crowd(testpki.NewCA("Client CA")), reason.UnknownAuthority},
		{"ladder", ladder(nil), reason.UnknownAuthority},
		{"ladder with a way out", ladder(ca), ""},
		{"circle", circle(), reason.UnknownAuthority},
		{"as deep as the message allows", deep(ca), ""},
		{"deep, of another CA", deep(testpki.NewCA("Client CA")), reason.UnknownAuthority},
	} {
		t.Run(row.name, func(t *testing.T) {
			if n := len(row.presented); n > 10 {
				t.Fatalf("made %d certificates, more than the limit", n)
			}
			got := expect(t, v, row.presented, row.want)
			if row.want == "" {
				checkVerified(t, got, row.presented, ca.Cert, trustaccess.Now(v))
				if n := len(got.Chains()); n > 100 {
					t.Errorf("%d chains are kept", n)
				}
			}
		})
	}
}

// The anchor among the presented certificates, or a copy of it that an authority below
// signed, causes no endless chain.
// Covers B11.
func TestAnchorInACircleIsVerified(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	back := as(sub, ca) // the anchor's name and key, signed from below
	presented := certs{sub.Leaf("alice").Cert, sub.Cert, back.Cert, ca.Cert}
	checkVerified(t, expect(t, trusting(t, ca.Cert), presented, ""), presented, ca.Cert, trustaccess.Now(trusting(t, ca.Cert)))
	// With the copy alone, no chain ends at an anchor.
	expect(t, trusting(t, testpki.NewCA("Other CA").Cert), presented, reason.UnknownAuthority)
}

// Certificate policies do not identify a client: mapping them back and forth must cost
// nothing.
// Covers B12.
func TestLargePolicyGraphIsCheap(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca
	for i := range 8 {
		sub = sub.SubCA(fmt.Sprint("Level ", i), func(c *x509.Certificate) {
			for j := range 100 {
				oid, err := x509.OIDFromInts([]uint64{1, 3, 6, 1, 4, 1, 99999, uint64(j)})
				if err != nil {
					t.Fatal(err)
				}
				c.Policies = append(c.Policies, oid)
			}
			for j := range 100 {
				c.PolicyMappings = append(c.PolicyMappings, x509.PolicyMapping{IssuerDomainPolicy: c.Policies[j], SubjectDomainPolicy: c.Policies[99-j]})
			}
		})
	}
	expect(t, trusting(t, ca.Cert), sub.Leaf("alice").Presented(), "")
}

// A deeply nested subject is refused in bounded time.
// Covers B12.
func TestDeeplyNestedNamesAreCheap(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	var set pkix.RelativeDistinguishedNameSET
	for range 65 {
		set = append(set, pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 11}, Value: "x"})
	}
	leaf := ca.Leaf("alice", func(c *x509.Certificate) { c.RawSubject = marshal(t, pkix.RDNSequence{set}) })
	expect(t, trusting(t, ca.Cert), leaf.Presented(), reason.TooLarge) // one RDN, many attributes
}

// Covers B11.
func BenchmarkHostileGraphs(b *testing.B) {
	ca := testpki.NewCA("Client CA")
	for name, presented := range map[string]certs{"mesh": mesh(nil), "crowd": crowd(testpki.NewCA("Client CA")), "ladder": ladder(nil), "ladder out": ladder(ca), "deep": deep(ca)} {
		b.Run(name, func(b *testing.B) {
			v := verifier(b, trust.Config{Anchors: certs{ca.Cert}})
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					v = verifier(b, trust.Config{Anchors: certs{ca.Cert}}) // an empty cache
				}
				_, _ = v.Verify(context.Background(), presented)
			}
		})
	}
}
