package admin

import (
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Trust is what verifies certificates on a port.
type Trust struct {
	Verifies   string   `json:"verifies"`
	Profile    string   `json:"profile"`
	Revocation string   `json:"revocation"`
	Responder  string   `json:"responder,omitempty"` // of OCSP
	OCSP       *OCSP    `json:"ocsp,omitempty"`
	FreshUntil string   `json:"fresh_until,omitempty"`
	Anchors    []Anchor `json:"anchors"`
	CRLs       []CRL    `json:"crls,omitempty"`
}

// OCSP is what was asked of a responder since it was configured.
type OCSP struct {
	Asked        uint64 `json:"asked"`    // requests that were sent
	Answered     uint64 `json:"answered"` // those whose answer was accepted
	Cached       int    `json:"cached"`   // answers in memory
	LastAnswered string `json:"last_answered,omitempty"`
	LastError    string `json:"last_error,omitempty"` // of the last request
}

// Anchor is a trust anchor.
type Anchor struct {
	report.Certificate
	File string `json:"file,omitempty"`
}

// CRL is a revocation list, its file, and how the file is renewed.
type CRL struct {
	Issuer      string `json:"issuer"`
	Number      string `json:"number,omitempty"` // hex
	ThisUpdate  string `json:"this_update"`
	NextUpdate  string `json:"next_update,omitempty"`
	Entries     int    `json:"entries"`
	Replaced    bool   `json:"replaced,omitempty"` // by a newer one
	File        string `json:"file,omitempty"`
	URL         string `json:"url,omitempty"`
	LastFetched string `json:"last_fetched,omitempty"`
	NextFetch   string `json:"next_fetch,omitempty"`
	FetchError  string `json:"fetch_error,omitempty"`
}

func newTrusts(all []mtlsguard.TrustInfo) []Trust {
	var out []Trust
	for _, t := range all {
		x := Trust{
			Verifies: t.Verifies, Profile: "strict", Revocation: revocationName(t.Revocation), Responder: t.Responder, FreshUntil: optionalTime(t.FreshUntil),
			Anchors: []Anchor{},
		}
		if t.Profile == trust.Compatible {
			x.Profile = "compatible"
		}
		if s := t.OCSP; s != nil {
			x.OCSP = &OCSP{s.Asked, s.Answered, s.Cached, optionalTime(s.LastAnswered), s.LastError}
		}
		for _, a := range t.Anchors {
			x.Anchors = append(x.Anchors, Anchor{*report.NewCertificate(a.Certificate), a.File})
		}
		for _, l := range t.CRLs {
			x.CRLs = append(x.CRLs, newCRL(&l))
		}
		out = append(out, x)
	}
	return out
}

func newCRL(l *mtlsguard.CRLInfo) CRL {
	out := CRL{
		Issuer: l.Issuer, ThisUpdate: report.Time(l.ThisUpdate), NextUpdate: optionalTime(l.NextUpdate), Entries: l.Entries, Replaced: l.Replaced,
		File: l.File, URL: l.URL, LastFetched: optionalTime(l.LastFetched), NextFetch: optionalTime(l.NextFetch), FetchError: l.FetchError,
	}
	if l.Number != nil {
		out.Number = strings.ToUpper(l.Number.Text(16))
	}
	return out
}

func revocationName(r trust.Revocation) string {
	switch r {
	case trust.RevocationHard:
		return "hard"
	case trust.RevocationSoft:
		return "soft"
	}
	return "off"
}

// PortTrust is the trust of one port.
type PortTrust struct {
	Port  string  `json:"port"`
	Trust []Trust `json:"trust"`
}

// trust answers with the anchors and revocation lists of each port.
func (c *call) trust() (any, error) {
	out := []PortTrust{}
	for _, p := range c.server.PortInfos() {
		if t := newTrusts(p.Trusts); t != nil {
			out = append(out, PortTrust{p.Name, t})
		}
	}
	return out, nil
}
