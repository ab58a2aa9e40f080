package ocsp_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers V5, with the client, its clock and a verifier together.
func TestRevokedAfterAGoodAnswerOrAnOutageUnderSoft(t *testing.T) {
	down := func(w http.ResponseWriter, _ []byte) { http.Error(w, "down", http.StatusServiceUnavailable) }
	for name, outage := range map[string]bool{"good before": false, "an outage before": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{w.ca.Cert}, Revocation: trust.RevocationSoft, Responder: w.client, Now: w.clock.now})
			if err != nil {
				t.Fatal(err)
			}
			if outage {
				w.responder.use(down)
			} else {
				w.responder.answer(w.reply())
			}
			for range 20 {
				got, err := v.Verify(t.Context(), w.leaf.Presented())
				if err != nil {
					t.Fatal(err)
				}
				trustaccess.Remember(v, got)
			}
			w.responder.wantQueries(t, 1)
			if outage {
				w.clock.forward(31 * time.Second)
			} else {
				w.clock.forward(61 * time.Minute)
			}
			w.responder.answer(w.reply(isRevoked))
			if _, err := v.Verify(t.Context(), w.leaf.Presented()); !isRefusal(err, reason.Revoked) {
				t.Errorf("later: %v", err)
			}
			if _, err := trustaccess.VerifyLocal(v, w.leaf.Presented()); !isRefusal(err, reason.Revoked) {
				t.Errorf("locally: %v", err)
			}
		})
	}
}

func isRefusal(err error, why reason.Reason) bool {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	return ok && refusal.Reason == why
}

// Covers H17: the client does not decompress an answer.
func TestEncodedAnswersAreRefused(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "x-gzip"} {
		w := newWorld(t)
		good := w.reply()
		w.responder.use(func(rw http.ResponseWriter, _ []byte) {
			rw.Header().Set("Content-Encoding", encoding)
			write(rw, good)
		})
		w.expect(t, trust.StatusUnknown)
	}
}
