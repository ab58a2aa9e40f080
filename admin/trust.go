package admin

import (
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/trust"
)

// apiTrust is what verifies certificates on a port.
type apiTrust struct {
	Verifies   string      `json:"verifies"`
	Profile    string      `json:"profile"`
	Revocation string      `json:"revocation"`
	Responder  string      `json:"responder,omitempty"` // of OCSP
	OCSP       *apiOCSP    `json:"ocsp,omitempty"`
	FreshUntil string      `json:"fresh_until,omitempty"`
	Anchors    []apiAnchor `json:"anchors"`
	CRLs       []apiCRL    `json:"crls,omitempty"`
}

// apiOCSP counts the queries to a responder since it was configured.
type apiOCSP struct {
	Asked        uint64 `json:"asked"`    // requests that were sent
	Answered     uint64 `json:"answered"` // those whose answer was accepted
	Cached       int    `json:"cached"`   // answers in memory
	LastAnswered string `json:"last_answered,omitempty"`
	LastError    string `json:"last_error,omitempty"` // of the last request
}

// apiAnchor is a trust anchor.
type apiAnchor struct {
	report.Certificate
	File string `json:"file,omitempty"`
}

// apiCRL is a revocation list, its file, and how the file is renewed.
type apiCRL struct {
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

func newTrusts(all []mtlsguard.TrustInfo) []apiTrust {
	var out []apiTrust
	for _, t := range all {
		x := apiTrust{
			Verifies: t.Verifies, Profile: "strict", Revocation: revocationName(t.Revocation), Responder: t.Responder, FreshUntil: optionalTime(t.FreshUntil),
			Anchors: []apiAnchor{},
		}
		if t.Profile == trust.Compatible {
			x.Profile = "compatible"
		}
		if s := t.OCSP; s != nil {
			x.OCSP = &apiOCSP{s.Asked, s.Answered, s.Cached, optionalTime(s.LastAnswered), s.LastError}
		}
		for _, a := range t.Anchors {
			x.Anchors = append(x.Anchors, apiAnchor{*report.NewCertificate(a.Certificate), a.File})
		}
		for _, l := range t.CRLs {
			x.CRLs = append(x.CRLs, newCRL(&l))
		}
		out = append(out, x)
	}
	return out
}

func newCRL(l *mtlsguard.CRLInfo) apiCRL {
	out := apiCRL{
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

// apiPortTrust is the trust of one port.
type apiPortTrust struct {
	Port  string     `json:"port"`
	Trust []apiTrust `json:"trust"`
}

// trust answers with the anchors and revocation lists of each port.
func (c *call) trust() (any, error) {
	out := []apiPortTrust{}
	for _, p := range c.server.PortInfos() {
		if t := newTrusts(p.Trusts); t != nil {
			out = append(out, apiPortTrust{p.Name, t})
		}
	}
	return out, nil
}
