package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/reason"
)

// TrustDomainIssuer returns the digest that stands for every anchor of a SPIFFE trust domain, for
// certmap.Mapping.Issuer: it remains the same when the authorities of the domain change their
// keys. Only certificates that Config.TrustDomains has verified have this issuer. It is not the
// digest of any key: the content that is hashed is not DER.
func TrustDomainIssuer(domain string) Digest { return sha256.Sum256([]byte(san.SPIFFE + domain)) }

// CheckTrustDomain returns why a text is not the name of a SPIFFE trust domain, such as
// acme.example (SPIFFE-ID section 2.1), or nil.
func CheckTrustDomain(domain string) error {
	if strings.Contains(domain, "/") {
		return fmt.Errorf("%q is not a trust domain: write it without spiffe:// and without a path", domain)
	}
	if err := san.CheckURI(san.SPIFFE + domain); err != nil {
		return fmt.Errorf("%q is not a trust domain: %w", domain, err)
	}
	return nil
}

// domains binds anchors to the trust domains whose certificates they verify.
type domains struct {
	names  map[string]bool     // every trust domain
	anchor map[string][]string // trust domains by the DER of an anchor
}

// addTrustDomains adds the anchors of Config.TrustDomains.
func (v *Verifier) addTrustDomains(wrong *errorlist.List, c *Config) {
	if len(c.TrustDomains) == 0 {
		return
	}
	v.domains = domains{map[string]bool{}, map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(c.TrustDomains)) {
		where := fmt.Sprintf("TrustDomains[%q]", name)
		if err := CheckTrustDomain(name); err != nil {
			wrong.Add(configerror.Error{What: "TrustDomains: " + err.Error(), Hint: "for example acme.example"})
			continue
		}
		if len(c.TrustDomains[name]) == 0 {
			wrong.Add(configerror.Error{What: where + " has no anchors: no certificate of the trust domain would be verified", Hint: "add the certificates of its bundle, or remove the trust domain"})
		}
		v.domains.names[name] = true
		for i, a := range c.TrustDomains[name] {
			switch {
			case a == nil:
				wrong.Add(configerror.Error{What: fmt.Sprintf("%s[%d] is nil", where, i)})
				continue
			case !a.IsCA || !a.BasicConstraintsValid:
				wrong.Add(configerror.Error{What: fmt.Sprintf("%s[%d], serial %X, is not a CA certificate", where, i, a.SerialNumber), Hint: "a bundle holds the authorities of a trust domain, and no leaf"})
				continue
			case slices.ContainsFunc(c.Anchors, a.Equal):
				// Fail closed: it stays one of Anchors, which verify no certificate of a trust domain. It is
				// no error: a partner chooses its bundle, and would stop every later change of this configuration.
				v.warnAnchor(a, fmt.Sprintf("%s[%d], serial %X, is one of Anchors too, and verifies no certificate of the trust domain", where, i, a.SerialNumber), "remove it from Anchors, or from the bundle")
				continue
			}
			bound := v.domains.anchor[string(a.Raw)]
			if len(bound) == 0 {
				v.anchors = append(v.anchors, a)
				v.addAnchor(wrong, fmt.Sprintf("%s[%d]", where, i), a)
			}
			if !slices.Contains(bound, name) {
				v.domains.anchor[string(a.Raw)] = append(bound, name)
			}
		}
	}
}

// check checks that a chain ends at an anchor of the trust domain of its leaf. An anchor of a
// trust domain verifies certificates with one SPIFFE ID of that domain (X509-SVID sections 2 and
// 5), and every other anchor verifies none of a trust domain that has anchors of its own.
func (d *domains) check(chain []*x509.Certificate) error {
	if len(d.names) == 0 {
		return nil
	}
	leaf, anchor := chain[0], chain[len(chain)-1]
	bound := d.anchor[string(anchor.Raw)]
	if len(bound) == 0 {
		if name := d.claimed(leaf); name != "" {
			return reason.Refuse(reason.UnknownAuthority, fmt.Sprintf("the certificate is of the trust domain %q, and the anchor %s is not one of its bundle", name, quoteName(&anchor.Subject)))
		}
		return nil
	}
	name, err := trustDomainOf(leaf)
	if err != nil {
		return reason.Refuse(reason.BadCertificate, fmt.Sprintf("the anchor %s is of the trust domain %q, and the certificate is not an X509-SVID: %s", quoteName(&anchor.Subject), bound[0], err))
	}
	if !slices.Contains(bound, name) {
		return reason.Refuse(reason.UnknownAuthority, fmt.Sprintf("the certificate is of the trust domain %q, and its anchor %s is of %q", name, quoteName(&anchor.Subject), bound[0]))
	}
	return nil
}

// of returns the trust domain of a chain that check accepts, or "" where its anchor is not bound
// to one.
func (d *domains) of(chain []*x509.Certificate) string {
	if len(d.anchor[string(chain[len(chain)-1].Raw)]) == 0 {
		return ""
	}
	name, _ := trustDomainOf(chain[0])
	return name
}

// trustDomainOf returns the trust domain of an X509-SVID, which has one URI: a SPIFFE ID with a
// path. A SPIFFE ID without a path is that of an authority (X509-SVID section 2).
func trustDomainOf(leaf *x509.Certificate) (string, error) {
	uri, err := san.SoleURI(leaf)
	if err != nil {
		return "", err
	}
	if err := san.CheckURI(string(uri)); err != nil {
		return "", fmt.Errorf("its URI is not a SPIFFE ID: %w", err)
	}
	rest, ok := strings.CutPrefix(string(uri), san.SPIFFE)
	name, path, _ := strings.Cut(rest, "/")
	if !ok || path == "" {
		return "", fmt.Errorf("its URI %s is not spiffe://TRUST-DOMAIN/PATH", quote(string(uri)))
	}
	return name, nil
}

// claimed returns the trust domain with anchors of its own that any URI of a leaf could be read as,
// or "". It reads URIs loosely: what another program might take for a SPIFFE ID counts.
func (d *domains) claimed(leaf *x509.Certificate) string {
	for _, uri := range san.Values(leaf, san.URI) {
		rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(uri)), "spiffe:")
		if !ok {
			continue
		}
		host := strings.FieldsFunc(rest, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/\\?#@:", r) })
		for _, part := range host {
			if d.names[part] {
				return part
			}
		}
	}
	return ""
}
