package audit

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The line about a stranger's certificate is short and costs little, whatever the certificate
// holds: a name of thousands of attributes, a serial number of kilobytes, thousands of
// alternative names.
// Covers H22.
func TestLineOfAHugeCertificateIsShort(t *testing.T) {
	t.Parallel()
	var name pkix.RDNSequence
	for range 5000 {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"}})
	}
	raw, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprintf("host-%d.example", i)
	}
	ca := testpki.NewCA("", func(c *x509.Certificate) { c.RawSubject = raw })
	leaf := *ca.Leaf("x", func(c *x509.Certificate) { c.RawSubject, c.DNSNames = raw, names }).Cert
	leaf.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 800_000) // x509.CreateCertificate makes none, ParseCertificate reads it
	var out bytes.Buffer
	e := New(newJSONLog(&out), new(atomic.Uint64))
	took := testkit.ProcessorTime(t, func() {
		for range 10 {
			e.LogHandshake(ports.Handshake{Port: "p", Reason: reason.TooLarge, Presented: []*x509.Certificate{&leaf}})
		}
	})
	if took > 2*time.Second { // quadratic work would take 6 s
		t.Errorf("ten lines took %v", took)
	}
	e.Flush()
	for line := range strings.Lines(out.String()) {
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes", len(line))
		}
		var got struct{ Subject, SAN string }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Subject != "a name of 5000 attributes" || !strings.HasSuffix(got.SAN, " more") {
			t.Errorf("got %v, %s; want a short subject and names", err, line)
		}
	}
}

// An alternative name of a type that is not printed does not hide those after it.
func TestNamesAfterAnotherTypeAreLogged(t *testing.T) {
	t.Parallel()
	value, err := asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 3}}, // a registered ID
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("a.example")},
	})
	if err != nil {
		t.Fatal(err)
	}
	leaf := testpki.NewCA("CA").Leaf("x", func(c *x509.Certificate) {
		c.DNSNames, c.ExtraExtensions = nil, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	})
	if got := alternativeNames(leaf.Cert); got != "DNS:a.example and 1 more" {
		t.Errorf("got %q, want %q", got, "DNS:a.example and 1 more")
	}
}
