package trust_test

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// scripted is a responder that answers as a test says.
type scripted struct {
	status trust.Status
	until  time.Time
	err    error
	asked  int
}

func (s *scripted) Status(context.Context, *x509.Certificate, *x509.Certificate) (trust.Status, time.Time, error) {
	s.asked++
	return s.status, s.until, s.err
}

// Covers V5: under soft as under hard an answer holds as long as it says, and no longer.
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
			if r.asked != 1 {
				t.Errorf("asked %d times", r.asked)
			}
			c.at = start.Add(time.Hour + time.Second)
			expect(t, v, alice, reason.Revoked)
		})
	}
}

// Covers V5: what is not known is accepted under soft, and asked again soon.
func TestOutageUnderSoftIsShort(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	for name, outage := range map[string]scripted{
		"an error":                  {err: errors.New("no route")},
		"an error, not before long": {err: errors.New("no route"), until: start.Add(45 * time.Second)},
		"an error, of the past":     {err: errors.New("no route"), until: start.Add(-time.Hour)},
		"not known":                 {status: trust.StatusUnknown},
		"a status of its own":       {status: 77},
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
				t.Errorf("asked again after %v", d)
			}
			asked := r.asked
			expect(t, v, alice, "")
			if r.asked != asked {
				t.Error("asked again at once")
			}
			r = scripted{status: trust.StatusRevoked} // it is back
			c.at = start.Add(time.Minute + time.Second)
			if got.ValidAt(c.at) {
				t.Error("what a connection remembers still holds")
			}
			expect(t, v, alice, reason.Revoked)
		})
	}
}

// Where there is no responder nothing more can become known: a list that has ended does
// not make Soft verify again for every request.
func TestSoftWithoutAResponderHoldsAsLongAsTheChain(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	list := ca.CRL(1, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Minute) })
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, CRLs: lists(list)})
	alice := ca.Leaf("alice")
	if got := expect(t, v, alice.Presented(), ""); !got.Until().Equal(alice.Cert.NotAfter) {
		t.Errorf("holds until %v, want %v", got.Until(), alice.Cert.NotAfter)
	}
}

// Covers G10: what is local is decided without the responder, which is not asked.
func TestVerifyLocalAsksNobody(t *testing.T) {
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
				if want != nil && !errors.Is(err, want) || want == nil && word(t, err) != why || got.IsZero() != (err != nil) {
					t.Errorf("%v, want %v %s", err, want, why)
				}
			}
			local(nil, nil, reason.NoCertificate)
			local(alice, trustaccess.ErrUndecided, "")
			local(revoked.Presented(), nil, reason.Revoked) // the list knows that, old as it is
			local(testpki.NewCA("Other").Leaf("x").Presented(), nil, reason.UnknownAuthority)
			if r.asked != 0 {
				t.Fatalf("asked %d times", r.asked)
			}
			remembered(t, v, alice)
			local(alice, nil, "")
			c.at = start.Add(2 * time.Hour)
			local(alice, trustaccess.ErrUndecided, "") // the answer has ended
			c.at = start.Add(48 * time.Hour)
			local(alice, nil, reason.Expired)
			if r.asked != 1 {
				t.Errorf("asked %d times", r.asked)
			}
		})
	}
}
