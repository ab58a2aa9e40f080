package config

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// Trust is how certificates are verified: the keys of trust, gateway and clients.
type Trust struct {
	Position
	Anchors, CRLs   []Scalar
	TrustDomains    []TrustDomain
	Profile         trust.Profile
	Usage           trust.Usage
	Revocation      trust.Revocation
	Fetch           []Fetch
	OCSP            *ocsp.Config
	MustBeRevoked   []Scalar // certificates that the CRLs must revoke: a self-test
	CRLIssuers      []Scalar // certificates of CRL issuers below the anchors
	MaxLeafLifetime time.Duration
	MaxDepth        int
	Invalid         bool // it has errors, all of them reported
}

// TrustDomain has the anchors of a SPIFFE trust domain.
type TrustDomain struct {
	Position
	Name    string
	Anchors []Scalar
}

// Fetch is a CRL file that is renewed from a URL.
type Fetch struct {
	Position
	URL, File string
	Issuer    Scalar // the certificate of the CRL issuer, if that is no anchor; may be empty
	MaxBytes  int    // of a response
}

var trustKeys = []string{"anchors", "profile", "crls", "revocation", "fetch", "ocsp", "must_be_revoked", "max_leaf_lifetime", "max_depth", "crl_issuers", "trust_domains"}

func (p *parser) trust(n *yaml.Node) *Trust {
	before := p.Wrong.Len()
	out := p.trustOf(n, p.Map(n, "trust", trustKeys...))
	out.Invalid = p.Wrong.Len() > before
	return out
}

// trustOf reads the keys of a trust.
func (p *parser) trustOf(n *yaml.Node, m map[string]*yaml.Node) *Trust {
	before := p.Wrong.Len()
	out := &Trust{
		Position: Position{n}, Anchors: p.scalars(m["anchors"], "anchors"), CRLs: p.scalars(m["crls"], "crls"),
		MustBeRevoked: p.scalars(m["must_be_revoked"], "must_be_revoked"), CRLIssuers: p.scalars(m["crl_issuers"], "crl_issuers"),
		MaxLeafLifetime: p.duration(m["max_leaf_lifetime"], "max_leaf_lifetime", 0, 0), MaxDepth: p.count(m["max_depth"], "max_depth", 0),
	}
	p.online(out, m)
	p.trustDomains(out, m["trust_domains"])
	if len(out.Anchors) == 0 && m["trust_domains"] == nil {
		p.Say(at(m["anchors"], n), "trust has no anchors", "add anchors: [FILE] with the CA of your clients; the CAs of the system are never used")
	}
	switch v := p.Text(m["profile"], "profile"); v {
	case "", "strict":
		out.Profile = trust.Strict
	case "compatible":
		out.Profile = trust.Compatible
	default:
		p.Say(m["profile"], fmt.Sprintf("profile: %q is not a profile", v), "use strict or compatible")
	}
	switch v := p.Text(m["revocation"], "revocation"); v {
	case "":
		out.Revocation = trust.RevocationAuto
	case "off":
		out.Revocation = trust.RevocationOff
	case "soft":
		out.Revocation = trust.RevocationSoft
	case "hard":
		out.Revocation = trust.RevocationHard
		if len(out.CRLs) == 0 && m["ocsp"] == nil {
			p.Say(m["revocation"], "revocation is hard, and there are no crls: every certificate would be refused", "add crls: [FILE], or set revocation: off")
			out.Revocation = trust.RevocationOff // reported
		}
	default:
		p.Say(m["revocation"], fmt.Sprintf("revocation: %q is not a mode", v), "use off, soft or hard")
	}
	out.Invalid = p.Wrong.Len() > before
	return out
}

// trustDomains reads the bundles of SPIFFE trust domains.
func (p *parser) trustDomains(out *Trust, n *yaml.Node) {
	if n == nil {
		return
	}
	lines := map[string]int{}
	for _, c := range p.List(n, "trust_domains") {
		m := p.Map(c, "the trust domain", "name", "anchors")
		if c.Kind != yaml.MappingNode {
			continue // reported by Map
		}
		d := TrustDomain{Position: Position{c}, Name: p.Text(m["name"], "name"), Anchors: p.scalars(m["anchors"], "anchors")}
		if err := trust.CheckTrustDomain(d.Name); err != nil {
			p.Say(at(m["name"], c), "name: "+err.Error(), "for example acme.example, the part of spiffe://acme.example/orders between // and /")
		} else if line, twice := lines[d.Name]; twice {
			p.Say(c, fmt.Sprintf("name: %q is already used", d.Name), fmt.Sprintf("add the anchors to the trust domain in line %d", line))
		}
		if len(d.Anchors) == 0 {
			p.Say(at(m["anchors"], c), fmt.Sprintf("the trust domain %q has no anchors", d.Name), "add anchors: [FILE] with its bundle")
		}
		lines[d.Name] = c.Line
		out.TrustDomains = append(out.TrustDomains, d)
	}
	if n.Kind == yaml.SequenceNode && len(out.TrustDomains) == 0 {
		p.Say(n, "trust_domains is empty", "add a trust domain: - {name: acme.example, anchors: [FILE]}, or remove the key")
	}
}

// online reads the sources of revocation on the network.
func (p *parser) online(out *Trust, m map[string]*yaml.Node) {
	if m["fetch"] != nil {
		for _, n := range p.List(m["fetch"], "fetch") {
			f := p.Map(n, "fetch", "url", "file", "issuer", "max_bytes")
			one := Fetch{Position: Position{n}, URL: p.Text(f["url"], "url"), File: p.Text(f["file"], "file"), Issuer: p.scalar(f["issuer"], "issuer")}
			one.MaxBytes = p.Int(f["max_bytes"], "max_bytes", minFetch, crlfetch.DefaultMaxBytes)
			if err := (crlfetch.Source{URL: one.URL}).CheckURL(); err != nil {
				p.Say(at(f["url"], n), fmt.Sprintf("url: %q cannot be fetched: %s", one.URL, err), "write https://HOST/PATH of the CRL")
			}
			if !slices.ContainsFunc(out.CRLs, func(c Scalar) bool { return c.Value == one.File }) {
				p.Say(at(f["file"], n), fmt.Sprintf("file: %q is not in crls", one.File), "add the file to crls: fetch renews a file of that list")
			}
			p.fetched[one.File] = one
			out.Fetch = append(out.Fetch, one)
		}
	}
	if m["ocsp"] == nil {
		return
	}
	o := p.Map(m["ocsp"], "ocsp", "url", "timeout", "nonce")
	if m["ocsp"].Kind != yaml.MappingNode {
		return // reported by Map
	}
	config := ocsp.Config{
		URL: p.Text(o["url"], "url"), Timeout: p.duration(o["timeout"], "timeout", time.Millisecond, 0), Nonce: p.Bool(o["nonce"], "nonce", false),
	}
	if _, err := ocsp.New(config); err != nil {
		for _, wrong := range configerror.All(err) {
			p.Say(m["ocsp"], "ocsp: "+wrong.What, wrong.Hint)
		}
		return
	}
	out.OCSP = &config
}

// pins reads fingerprints of certificates.
func (p *parser) pins(n *yaml.Node) []trust.Digest {
	var out []trust.Digest
	for _, pin := range p.scalars(n, "fingerprints") {
		d, err := trust.ParseDigest(pin.Value)
		if err != nil {
			p.Say(pin.node, fmt.Sprintf("fingerprints: %q is not a SHA-256 fingerprint", pin.Value), "copy it from openssl x509 -in FILE -noout -fingerprint -sha256")
			continue
		}
		out = append(out, d)
	}
	return out
}
