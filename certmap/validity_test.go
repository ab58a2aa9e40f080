package certmap_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestMappingIsValidWithinItsDatesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(time.Hour)
	m := certmap.Mapping{ID: "a", User: "alice", Fingerprint: v.Fingerprint(), NotBefore: from, NotAfter: to}
	later := certmap.Mapping{ID: "b", User: "bob", Fingerprint: v.Fingerprint(), NotBefore: to.Add(time.Minute)}
	both := table(t, m, later)
	for _, row := range []struct {
		now   time.Time
		want  string
		until time.Time
	}{
		{from.Add(-1), "[mapping-expired]", time.Time{}},
		{from, "alice", to},
		{to.Add(-1), "alice", to},
		{to, "alice", to},
		{to.Add(1), "[mapping-expired]", time.Time{}},
		{to.Add(time.Minute), "bob", time.Time{}},
	} {
		now := both.WithClock(at(row.now))
		if got := outcome(t, now, v, "p"); got != row.want {
			t.Errorf("%s: %s, want %s", row.now, got, row.want)
		}
		if match, _ := now.Map(context.Background(), v, "p"); !match.Until.Equal(row.until) {
			t.Errorf("%s: until %s, want %s", row.now, match.Until, row.until)
		}
	}
	// Until is the nearest instant at which anything of the deciding kind begins or ends.
	always := certmap.Mapping{ID: "c", User: "alice", Fingerprint: v.Fingerprint(), NotAfter: to.Add(-time.Minute)}
	match, err := table(t, m, always).WithClock(at(from)).Map(context.Background(), v, "p")
	if err != nil || match.MappingID != "a" || !match.Until.Equal(to.Add(-time.Minute)) {
		t.Errorf("got %+v, %v; want mapping a until its end", match, err)
	}
	_, err = certmap.New(certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.Digest{1}, NotBefore: to, NotAfter: from})
	wantError(t, err, "not_after is before not_before")
}

func TestDisabledOrExpiredMappingRefusesTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	base := certmap.Mapping{User: "alice", Fingerprint: v.Fingerprint()}
	of := func(id string, change func(*certmap.Mapping)) certmap.Mapping {
		m := base
		m.ID = id
		change(&m)
		return m
	}
	off := of("off", func(m *certmap.Mapping) { m.Disabled = true })
	over := of("over", func(m *certmap.Mapping) { m.NotAfter = time.Now().Add(-time.Hour) })
	on := of("on", func(*certmap.Mapping) {})
	for name, row := range map[string]struct {
		mappings []certmap.Mapping
		want     string
	}{
		"disabled":         {[]certmap.Mapping{off}, "[unmapped]"},
		"over":             {[]certmap.Mapping{over}, "[mapping-expired]"},
		"both":             {[]certmap.Mapping{off, over}, "[mapping-expired]"},
		"another is valid": {[]certmap.Mapping{off, over, on}, "alice"},
	} {
		if got := outcome(t, table(t, row.mappings...), v, "p"); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
	for part, m := range map[string]certmap.Mapping{"disabled": off, "outside its dates": over} {
		if _, err := table(t, m).Map(context.Background(), v, "p"); !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), m.ID) {
			t.Errorf("%s: got %v", part, err)
		}
	}
	match, _ := table(t, off, over, on).Map(context.Background(), v, "p")
	if match.MappingID != "on" {
		t.Errorf("mapped by %s, want on", match.MappingID)
	}
}

func TestMappingIsIgnoredOnOtherPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	m := table(t,
		certmap.Mapping{ID: "a", User: "alice", Fingerprint: v.Fingerprint(), Ports: []string{"internal", "admin"}},
		certmap.Mapping{ID: "b", User: "bob", Fingerprint: v.Fingerprint(), Ports: []string{"partner"}},
		certmap.Mapping{ID: "c", User: "carol", SPKI: v.SPKI()})
	for port, want := range map[string]string{"internal": "alice", "admin": "alice", "partner": "bob", "": "carol", "inter": "carol", "internal\x00admin": "carol"} {
		if got := outcome(t, m, v, port); got != want {
			t.Errorf("%q: %s, want %s", port, got, want)
		}
	}
	for _, ports := range [][]string{{""}, {"a", "a"}, {"a\x00b"}, make([]string, 300)} {
		_, err := certmap.New(certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.Digest{1}, Ports: ports})
		wantError(t, err, "port", ports)
	}
}

func TestWithoutTableOrCertificateNoUserIsMapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := table(t, certmap.Mapping{ID: "a", User: "alice", SPKI: trust.Digest{1}})
	if got := outcome(t, m, trust.Verified{}, "p"); got != "[unmapped]" {
		t.Errorf("the zero Verified: %s, want [unmapped]", got)
	}
	if got := outcome(t, (*certmap.Table)(nil), w.leaf(t), "p"); got != "[unmapped]" {
		t.Errorf("no table: %s", got)
	}
	if got := outcome(t, table(t), w.leaf(t), "p"); got != "[unmapped]" {
		t.Errorf("an empty table: %s, want [unmapped]", got)
	}
	if (*certmap.Table)(nil).Explain(w.leaf(t), "p") != nil || (*certmap.Table)(nil).Mappings() != nil || (*certmap.Table)(nil).Lint(time.Now(), 0) != nil {
		t.Error("a nil table is empty")
	}
	// A leaf that is an anchor itself has no issuer: only pins can map it.
	self := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, subject("CN=alice"))
	verifier := must(trust.New(trust.Config{Anchors: []*x509.Certificate{self.Cert}}))
	v, err := verifier.Verify(context.Background(), self.Presented())
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, table(t, certmap.Mapping{ID: "a", User: "alice", Subject: "CN=alice", Issuer: v.SPKI()}), v, "p"); got != "[unmapped]" {
		t.Errorf("its own issuer: %s, want [unmapped]", got)
	}
	if got := outcome(t, table(t, certmap.Mapping{ID: "a", User: "alice", SPKI: v.SPKI()}), v, "p"); got != "alice" {
		t.Errorf("by its key: %s, want alice", got)
	}
}

// A server certificate of the same CA is not mapped.
func TestServerCertificateIsNotAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers := must(trust.New(trust.Config{Anchors: []*x509.Certificate{w.ca.Cert}, Usage: trust.UsageServer}))
	v := must(servers.Verify(context.Background(), w.ca.Server().Presented()))
	if got := outcome(t, table(t, certmap.Mapping{ID: "a", User: "alice", SPKI: v.SPKI()}), v, "p"); got != "[wrong-usage]" {
		t.Error(got)
	}
}

func TestExplanationsArePrintable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t, subject("CN=x\u00e9\u0444"))
	_, err := table(t).Map(context.Background(), v, "p")
	if err.(*reason.Refusal).Reason != reason.Unmapped {
		t.Error(err)
	}
	for _, s := range table(t, certmap.Mapping{ID: "é", User: "a", Subject: "CN=y", Issuer: w.key}).Explain(v, "p") {
		for _, r := range s.String() {
			if r < ' ' || r > '~' {
				t.Errorf("got %q", s.String())
			}
		}
	}
}
