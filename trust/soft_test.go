package trust_test

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// scripted is a responder with a fixed answer.
type scripted struct {
	status trust.Status
	until  time.Time
	err    error
	calls  int
}

func (s *scripted) Status(context.Context, *x509.Certificate, *x509.Certificate) (trust.Status, time.Time, error) {
	s.calls++
	return s.status, s.until, s.err
}

// Covers V5: under soft and hard, an answer holds until its own end.
func TestAnswerOfAResponderHoldsUntilItsEnd(t *testing.T) {
	for name, mode := range map[string]trust.Revocation{"soft": trust.RevocationSoft, "hard": trust.RevocationHard} {
		t.Run(name, func(t *testing.T) {
			ca := testpki.NewCA("Client CA")
			start := time.Now().Truncate(time.Second)
			c := &clock{start}
			r := &scripted{status: trust.StatusGood, until: start.Add(time.Hour)}
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: mode, Responder: r, Now: c.now})
			alice := ca.Leaf("alice").Presented()
			if got := remembered(t, v, alice); !got.Until().Equal(r.until) {
				t.Errorf("holds until %v, the answer until %v", got.Until(), r.until)
			}
			r.status = trust.StatusRevoked
			c.at = start.Add(59 * time.Minute)
			expect(t, v, alice, "")
			if r.calls != 1 {
				t.Errorf("%d queries", r.calls)
			}
			c.at = start.Add(time.Hour + time.Second)
			expect(t, v, alice, reason.Revoked)
		})
	}
}

// Covers V5: a clock that is set back makes no answer hold longer. What is verified then is cached again.
func TestAnswerEndsWhenTheClockIsSetBack(t *testing.T) {
	ca := testpki.NewCA("Client CA", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-24 * time.Hour) })
	alice := ca.Leaf("alice", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-24 * time.Hour) }).Presented()
	start := time.Now()
	c := &clock{start}
	r := &scripted{err: errors.New("no route"), until: start.Add(30 * time.Second)}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, Responder: r, Now: c.now})
	remembered(t, v, alice)
	c.at = testkit.SetBack(start, time.Second) // a small correction
	expect(t, v, alice, "")
	if r.calls != 1 {
		t.Errorf("%d queries, want 1", r.calls)
	}
	c.at = testkit.SetBack(start, time.Hour)
	r.until = c.at.Round(0).Add(30 * time.Second)
	remembered(t, v, alice)
	remembered(t, v, alice)
	if r.calls != 2 {
		t.Errorf("%d queries after the clock was set back, want 2", r.calls)
	}
	c.at = start
	r.status, r.err = trust.StatusRevoked, nil
	expect(t, v, alice, reason.Revoked)
}

// Covers V5: an unknown status is accepted under soft, and the next query follows within a minute.
func TestOutageUnderSoftIsShort(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	for name, outage := range map[string]scripted{
		"an error":                 {err: errors.New("no route")},
		"an error with an end":     {err: errors.New("no route"), until: start.Add(45 * time.Second)},
		"an error with a past end": {err: errors.New("no route"), until: start.Add(-time.Hour)},
		"an unknown status":        {status: trust.StatusUnknown},
		"an undefined status":      {status: 77},
	} {
		t.Run(name, func(t *testing.T) {
			ca := testpki.NewCA("Client CA")
			sub := ca.SubCA("Sub")
			c := &clock{start}
			r := outage
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, Responder: &r, Now: c.now})
			alice := sub.Leaf("alice").Presented()
			got := remembered(t, v, alice)
			if d := got.Until().Sub(start); d <= 0 || d > time.Minute {
				t.Errorf("the next query is after %v", d)
			}
			calls := r.calls
			expect(t, v, alice, "")
			if r.calls != calls {
				t.Error("the responder was queried again at once")
			}
			r = scripted{status: trust.StatusRevoked} // the responder is available again
			c.at = start.Add(time.Minute + time.Second)
			if got.ValidAt(c.at) {
				t.Error("the result that a connection keeps is still valid")
			}
			expect(t, v, alice, reason.Revoked)
		})
	}
}

// Without a responder, verifying again cannot change an unknown status: a list that has
// ended does not make Soft verify again for every request.
func TestSoftWithoutAResponderHoldsAsLongAsTheChain(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	list := ca.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Minute) })
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, CRLs: lists(list)})
	alice := ca.Leaf("alice")
	if got := expect(t, v, alice.Presented(), ""); !got.Until().Equal(alice.Cert.NotAfter) {
		t.Errorf("holds until %v, want %v", got.Until(), alice.Cert.NotAfter)
	}
}

// Covers G10: VerifyLocal decides without a query to the responder.
func TestVerifyLocalDoesNotQueryTheResponder(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	start := time.Now().Truncate(time.Second)
	alice, revoked := ca.Leaf("alice").Presented(), ca.Leaf("revoked")
	for name, mode := range map[string]trust.Revocation{"soft": trust.RevocationSoft, "hard": trust.RevocationHard} {
		t.Run(name, func(t *testing.T) {
			c := &clock{start}
			r := &scripted{status: trust.StatusGood, until: start.Add(time.Hour)}
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: mode, Responder: r, Now: c.now,
				CRLs: lists(ca.CRL(1, serials(revoked), func(l *x509.RevocationList) { l.NextUpdate = start.Add(-time.Minute) }))})
			local := func(presented certs, want error, why reason.Reason) {
				t.Helper()
				got, err := trustaccess.VerifyLocal(v, presented)
				if want != nil && !errors.Is(err, want) || want == nil && reasonOf(t, err) != why || got.IsZero() != (err != nil) {
					t.Errorf("%v, want %v %s", err, want, why)
				}
			}
			local(nil, nil, reason.NoCertificate)
			local(alice, trustaccess.ErrUndecided, "")
			local(revoked.Presented(), nil, reason.Revoked) // an expired list still revokes
			local(testpki.NewCA("Other").Leaf("x").Presented(), nil, reason.UnknownAuthority)
			if r.calls != 0 {
				t.Fatalf("%d queries", r.calls)
			}
			remembered(t, v, alice)
			local(alice, nil, "")
			c.at = start.Add(2 * time.Hour)
			local(alice, trustaccess.ErrUndecided, "") // the answer has ended
			c.at = start.Add(48 * time.Hour)
			local(alice, nil, reason.Expired)
			if r.calls != 1 {
				t.Errorf("%d queries", r.calls)
			}
		})
	}
}
