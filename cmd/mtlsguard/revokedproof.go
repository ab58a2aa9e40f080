package main

import (
	"context"
	"crypto/x509"
	"math/big"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// crlProof is a CRL that the port looks up.
type crlProof struct {
	Of         string `json:"of,omitempty"` // an intermediate, if it is not the certificate itself
	File       string `json:"file"`
	Number     string `json:"number,omitempty"`
	ThisUpdate string `json:"this_update"`
	NextUpdate string `json:"next_update"`
	Signer     string `json:"signer,omitempty"`    // absent: no known authority signed it
	OtherKey   bool   `json:"other_key,omitempty"` // with --serial: another key than the issuer's signed it
	Listed     bool   `json:"listed"`
	Since      string `json:"since,omitempty"` // of the entry
	Why        string `json:"why,omitempty"`
	Ended      bool   `json:"ended,omitempty"` // past its next update
	Replaced   bool   `json:"replaced,omitempty"`
}

type ocspProof struct {
	URL    string `json:"url"`
	Status string `json:"status"` // good, revoked or unknown
	Until  string `json:"until,omitempty"`
	Error  string `json:"error,omitempty"`
}

// addProof adds the lists that have the issuer's name, for each certificate of the chain.
func (s *suspect) addProof(r *portRevocation, t *site.Trust, now time.Time) {
	if s.chain == nil {
		r.Lists = proofs(t, "", s.issuer.RawSubject, s.serial, now)
		for i, l := range trustaccess.LookUp(t.Verifier, s.issuer.RawSubject, s.serial) {
			// The list may be that of another authority with the same name. Without the
			// certificate nothing shows whether a port counts it: it proves nothing.
			r.Lists[i].OtherKey = l.Signer != nil && trust.SPKIOf(l.Signer) != trust.SPKIOf(s.issuer)
		}
		return
	}
	for i, c := range s.chain {
		of := ""
		if i > 0 {
			of = formatSubject(c)
		}
		if i == 0 || string(c.RawSubject) != string(c.RawIssuer) {
			r.Lists = append(r.Lists, proofs(t, of, c.RawIssuer, c.SerialNumber, now)...)
		}
	}
}

func proofs(t *site.Trust, of string, issuer []byte, serial *big.Int, now time.Time) []crlProof {
	var out []crlProof
	for _, l := range trustaccess.LookUp(t.Verifier, issuer, serial) {
		p := crlProof{
			Of: of, File: t.FileOf(l.List), ThisUpdate: formatTime(l.List.ThisUpdate), NextUpdate: formatTime(l.Until),
			Listed: l.Listed, Ended: now.After(l.Until), Replaced: l.Replaced,
		}
		if l.List.Number != nil {
			p.Number = l.List.Number.String()
		}
		if l.Signer != nil {
			p.Signer = printable(l.Signer.Subject.String())
		}
		if l.Listed {
			p.addEntry(l.List, serial)
		}
		out = append(out, p)
	}
	return out
}

// addEntry adds date and reason of the entry, from the file: a verifier keeps neither.
func (p *crlProof) addEntry(list *x509.RevocationList, serial *big.Int) {
	data, err := certfile.ReadFile(p.File)
	if err != nil {
		return
	}
	lists, _ := trustaccess.ReadCRLs(p.File, data)
	for _, l := range lists {
		if string(l.List.Signature) != string(list.Signature) {
			continue
		}
		for _, e := range l.List.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(serial) == 0 {
				p.Since, p.Why = formatTime(e.RevocationTime), crlReasons[e.ReasonCode]
			}
		}
	}
}

// crlReasons has the names of the reason codes (RFC 5280 section 5.3.1).
var crlReasons = map[int]string{
	1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded", 5: "cessationOfOperation",
	6: "certificateHold", 9: "privilegeWithdrawn", 10: "aACompromise",
}

// askResponder asks the port's OCSP responder, as the port does.
func (s *suspect) askResponder(ctx context.Context, r *portRevocation, t *site.Trust, verified trust.Verified) {
	var issuer *x509.Certificate
	if !verified.IsZero() {
		issuer = verified.Issuer()
	}
	for _, c := range slices.Concat(s.chain[1:], t.Verifier.Anchors()) {
		if issuer == nil && s.chain[0].CheckSignatureFrom(c) == nil {
			issuer = c
		}
	}
	if issuer == nil {
		return
	}
	status, until, err := t.AskResponder(ctx, s.chain[0], issuer)
	r.OCSP = &ocspProof{URL: t.ResponderURL(), Status: "unknown"}
	switch {
	case err != nil:
		r.OCSP.Error = printable(err.Error())
	case status == trust.StatusRevoked:
		r.OCSP.Status = "revoked"
	case status == trust.StatusGood:
		r.OCSP.Status, r.OCSP.Until = "good", formatTime(until)
	}
}
