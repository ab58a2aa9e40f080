package certmap_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"flag"
	"fmt"
	"math/big"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

// many returns n mappings of one kind, none of which matches the certificate.
func many(kind string, n int, issuer trust.Digest) []certmap.Mapping {
	out := make([]certmap.Mapping, n)
	for i := range out {
		m := certmap.Mapping{ID: fmt.Sprintf("m%07d", i), User: fmt.Sprintf("user%07d", i), Issuer: issuer}
		var d trust.Digest
		d[0] = 1
		binary.BigEndian.PutUint64(d[8:], uint64(i))
		switch kind {
		case "fingerprint":
			m.Fingerprint, m.Issuer = d, trust.Digest{}
		case "spki":
			m.SPKI, m.Issuer = d, trust.Digest{}
		case "serial":
			m.Serial = big.NewInt(int64(i + 1))
		case "uri":
			m.URI = fmt.Sprintf("spiffe://acme/ns/prod/sa/service%07d", i)
		case "dns":
			m.DNS = fmt.Sprintf("host%07d.acme.example", i)
		case "email":
			m.Email = fmt.Sprintf("user%07d@acme.example", i)
		case "subject":
			m.Subject = fmt.Sprintf("CN=user%07d,OU=Staff,O=Acme", i)
		case "subject-pattern":
			m.User, m.Subject = "{user}", fmt.Sprintf("CN={user},OU=Unit %07d,O=Acme", i)
		case "uri-pattern":
			m.User, m.URI = "{user}", fmt.Sprintf("spiffe://acme/ns/unit%07d/sa/{user}", i)
		}
		out[i] = m
	}
	return out
}

var benchKinds = []string{"fingerprint", "spki", "serial", "uri", "dns", "email", "subject", "subject-pattern", "uri-pattern"}

var million = flag.Bool("million", false, "benchmark with 1,000,000 mappings of each kind, in place of 100,000")

// BenchmarkMap maps one certificate, by one mapping among 100,000 of one kind.
func BenchmarkMap(b *testing.B) {
	n := 100_000
	if *million {
		n = 1_000_000
	}
	w := newWorld(b)
	leaf := w.ca.Leaf("user0050000", subject("CN=user0050000,OU=Staff,O=Acme"), func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(50_001)
		c.DNSNames = []string{"host0050000.acme.example"}
		c.EmailAddresses = []string{"user0050000@acme.example"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/ns/prod/sa/service0050000"}}
	})
	v := w.verify(b, leaf)
	unit := w.verify(b, w.ca.Leaf("x", subject("CN=alice,OU=Unit 0050000,O=Acme"), uris("spiffe://acme/ns/unit0050000/sa/alice")))
	for _, kind := range benchKinds {
		b.Run(kind, func(b *testing.B) {
			mappings, caller := many(kind, n, w.key), v
			switch kind {
			case "fingerprint":
				mappings[n/2].Fingerprint = v.Fingerprint()
			case "spki":
				mappings[n/2].SPKI = v.SPKI()
			case "subject-pattern", "uri-pattern":
				caller = unit
			}
			table, err := certmap.New(mappings...)
			if err != nil {
				b.Fatal(err)
			}
			mappings = nil
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if m, err := table.Map(context.Background(), caller, "internal"); err != nil || m.User == "" {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMapPatterns maps a certificate that only a pattern matches, and one that nothing
// matches: among 1,000 patterns that capture at 12 places, alone and beside 100,000 exact
// mappings, and with 12 patterns alone.
func BenchmarkMapPatterns(b *testing.B) {
	exact := 100_000
	if *million {
		exact = 1_000_000
	}
	w := newWorld(b)
	callers := map[string]trust.Verified{
		"matched":   w.leaf(b, subject("CN=alice,OU=Unit 0,O=Acme"), uris("spiffe://acme/a/b/c/d/e/f")),
		"unmatched": w.leaf(b, subject("CN=alice,OU=None,O=Acme"), uris("spiffe://acme/a/b/c/d/e/f")),
	}
	for _, size := range []struct{ patterns, exact int }{{12, 0}, {1000, 0}, {1000, exact}} {
		mappings := many("fingerprint", size.exact, w.key)
		for i := range size.patterns {
			m := certmap.Mapping{ID: fmt.Sprint("p", i), User: "{user}", Issuer: w.key}
			switch shapes := []string{"CN={user},OU=Unit %d,O=Acme", "CN=%d,OU={user},O=Acme", "CN=%d,OU=Unit,O={user}", "CN=%d,OU=Unit,O=Acme,C={user}", "CN=%d,UID={user}", "CN=%d,L={user}"}; i % 12 {
			case 0, 1, 2, 3, 4, 5:
				m.Subject = fmt.Sprintf(shapes[i%12], i)
			default:
				segments := []string{"x", "x", "x", "x", "x", "x", fmt.Sprint("u", i)}
				segments[i%12-6] = "{user}"
				m.URI = "spiffe://acme/" + strings.Join(segments, "/")
			}
			mappings = append(mappings, m)
		}
		table, err := certmap.New(mappings...)
		if err != nil {
			b.Fatal(err)
		}
		for name, v := range callers {
			b.Run(fmt.Sprintf("%d-patterns-%d-exact/%s", size.patterns, size.exact, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if m, err := table.Map(context.Background(), v, "internal"); (err == nil) != (name == "matched") || err == nil && m.User != "alice" {
						b.Fatal(m, err)
					}
				}
			})
		}
	}
}

// BenchmarkNew makes tables of a million mappings, and reports their size.
func BenchmarkNew(b *testing.B) {
	const n = 1_000_000
	for _, kind := range []string{"fingerprint", "subject"} {
		mappings := many(kind, n, trust.Digest{1})
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				table, err := certmap.New(mappings...)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(heap()-before)/n, "B/mapping")
				runtime.KeepAlive(table)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRead reads users.yaml with 100,000 mappings.
func BenchmarkRead(b *testing.B) {
	const n = 100_000
	var text strings.Builder
	text.WriteString("mappings:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {id: m%d, user: user%d, uri: \"spiffe://acme/ns/prod/sa/service%d\", issuer: ca.pem}\n", i, i, i)
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := certmap.Load("users.yaml", bytes.NewReader(data), issuerKey(trust.Digest{1})); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut changes one mapping of a million.
func BenchmarkPut(b *testing.B) {
	table, err := certmap.New(many("fingerprint", 1_000_000, trust.Digest{})...)
	if err != nil {
		b.Fatal(err)
	}
	live := certmap.NewLive(table)
	i := 0
	for b.Loop() {
		i++
		var d trust.Digest
		d[0] = 2
		binary.BigEndian.PutUint64(d[8:], uint64(i))
		if err := live.Put(certmap.Mapping{ID: fmt.Sprintf("m%07d", i%1_000_000), User: "bob", Fingerprint: d}); err != nil {
			b.Fatal(err)
		}
	}
}
