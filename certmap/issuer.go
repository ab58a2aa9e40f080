package certmap

import (
	"errors"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/trust"
)

const issuerHint = "a file of the CA certificate, the SHA-256 of its public key, or spiffe:// and a trust domain"

// issuerKeys are the keys in the files that mappings name as issuers. Each file is read once.
type issuerKeys struct {
	read  func(path string) (trust.Digest, error)
	mu    sync.Mutex // several goroutines read one file of mappings
	known map[string]issuerKey
}

type issuerKey struct {
	key trust.Digest // zero with an error
	err error
}

// get returns the key in a file, which is not zero, or an error.
func (k *issuerKeys) get(path string) (trust.Digest, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.known[path]
	if !ok {
		found.key, found.err = k.readFile(path)
		k.known[strings.Clone(path)] = found
	}
	return found.key, found.err
}

func (k *issuerKeys) readFile(path string) (trust.Digest, error) {
	if strings.ContainsRune(path, 0) {
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " is not a file name: it has a NUL")
	}
	if k.read == nil {
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " is not a SHA-256, and no function reads files (WithIssuers)")
	}
	key, err := k.read(path)
	switch {
	case err != nil:
		return trust.Digest{}, err
	case key.IsZero():
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " has no public key")
	}
	return key, nil
}

// issuerKey returns the key of an issuer: a digest, or the content of a file. If there is
// an error, it marks the issuer as wrong. The error of a file is reported once, for the
// first mapping that names it.
func (e *mappingReader) issuerKey(value *yaml.Node, name string) trust.Digest {
	text := value.Value
	if looksLikeDigest(text) {
		d, err := parseDigest(text)
		if err != nil {
			e.doc.Say(value, name+": "+escape.Quote(text, escape.Short)+" is "+err.Error(), issuerHint)
		}
		return d
	}
	if domain, ok := strings.CutPrefix(text, san.SPIFFE); ok {
		key, err := domainIssuer(domain)
		if err != nil {
			e.doc.Say(value, name+": "+err.Error(), issuerHint)
			return key
		}
		e.domain = domain
		return key
	}
	key, err := e.fileKey(text)
	if err != nil && !e.reported[text] {
		e.reported[text] = true
		e.doc.Say(value, name+": "+err.Error(), issuerHint)
	}
	e.wrong[fieldIssuer] = err != nil
	return key
}

// checkDomain returns why a mapping can never match under the authorities of a trust domain, with a
// hint, or "".
func checkDomain(domain string, m *Mapping) (what, hint string) {
	switch prefix := san.SPIFFE + domain + "/"; {
	case domain == "":
	case m.Serial != nil:
		return "a serial number needs its direct issuer, and a trust domain has several authorities", "issuer: FILE of the CA certificate that issued it"
	case m.URI != "" && !strings.HasPrefix(m.URI, prefix):
		return "the authorities of " + escape.Quote(domain, escape.Short) + " verify only URIs that begin with " + prefix, "name the trust domain of the URI"
	}
	return "", ""
}

// domainIssuer returns the issuer that stands for all authorities of a SPIFFE trust domain.
func domainIssuer(domain string) (trust.Digest, error) {
	if err := trust.CheckTrustDomain(domain); err != nil {
		return trust.Digest{}, err
	}
	return trust.TrustDomainIssuer(domain), nil
}

// fileKey returns the key in the file of an issuer, and notes that the mappings depend on it.
func (l *reader) fileKey(path string) (trust.Digest, error) {
	if key, ok := l.used[path]; ok {
		return key, nil
	}
	key, err := l.issuers.get(path)
	if err == nil && l.used != nil {
		l.used[strings.Clone(path)] = key
	}
	return key, err
}

// looksLikeDigest reports whether a text is meant as a digest and not as a file name, so
// that the error about a mistyped digest names the digest.
func looksLikeDigest(text string) bool {
	if len(text) >= 7 && strings.EqualFold(text[:7], "sha256:") {
		return true
	}
	return len(text) >= 32 && strings.Trim(text, "0123456789abcdefABCDEF:") == ""
}
