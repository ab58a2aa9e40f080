package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// parsePKCS12 returns the one credential of a PKCS#12 file.
func (s *source) parsePKCS12() (tls.Certificate, error) {
	password, err := s.callPassword(s.password)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, certificates, err := javaks.ReadPKCS12(s.data, password)
	switch {
	case errors.Is(err, javaks.ErrPassword):
		return tls.Certificate{}, s.fail(err.Error(), "check Password")
	case errors.Is(err, javaks.ErrIterations):
		return tls.Certificate{}, s.fail(err.Error(), "write the file again with openssl or keytool")
	case err != nil:
		return tls.Certificate{}, s.fail("the PKCS#12 file cannot be parsed: "+err.Error(), "openssl pkcs12 -in FILE -info may show the error")
	}
	return s.assemble(key, certificates)
}

// parseJKS returns one credential of a Java keystore.
func (s *source) parseJKS() (tls.Certificate, error) {
	none := tls.Certificate{}
	password, err := s.callPassword(s.password)
	if err != nil {
		return none, err
	}
	keyPassword := password
	if s.keyPassword != nil {
		if keyPassword, err = s.callPassword(s.keyPassword); err != nil {
			return none, err
		}
	}
	entries, err := javaks.ReadJKS(s.data, password, keyPassword)
	switch {
	case errors.Is(err, javaks.ErrPassword):
		return none, s.fail("the password of the Java keystore is wrong, or the file is damaged", "check Password")
	case err != nil:
		return none, s.fail(err.Error(), "keytool -list -keystore FILE may show the error")
	}
	entry, err := s.chooseEntry(entries)
	switch {
	case err != nil:
		return none, err
	case errors.Is(entry.KeyErr, javaks.ErrKeyPassword):
		return none, s.fail("the key of the entry cannot be decrypted", "if its password differs from the keystore's, set KeyPassword")
	case entry.KeyErr != nil:
		return none, s.fail("the key of the entry cannot be parsed", "RSA, ECDSA or Ed25519")
	case entry.Err != nil:
		return none, s.fail(entry.Err.Error(), "keytool -list -v -keystore FILE may show the error")
	}
	return s.assemble(entry.Key, entry.Chain)
}

// chooseEntry returns the configured entry, or the only one with a key. Java ignores the
// case of entry names.
func (s *source) chooseEntry(entries []javaks.Entry) (javaks.Entry, error) {
	keys := slices.DeleteFunc(slices.Clone(entries), func(e javaks.Entry) bool { return !e.HasKey })
	var names []string
	for _, e := range keys {
		names = append(names, e.Alias)
	}
	if len(keys) == 0 {
		return javaks.Entry{}, s.fail("the Java keystore has no key", "this is a truststore, with certificates only")
	}
	if s.entry != "" {
		keys = slices.DeleteFunc(keys, func(e javaks.Entry) bool { return !strings.EqualFold(e.Alias, s.entry) })
		if len(keys) == 0 {
			return javaks.Entry{}, s.fail("the Java keystore has no such entry with a key", "Entry: one of "+strings.Join(names, ", "))
		}
	}
	if len(keys) > 1 {
		return javaks.Entry{}, s.fail("the Java keystore has several keys", "Entry: one of "+strings.Join(names, ", "))
	}
	return keys[0], nil
}

// assemble returns the leaf of a key and the chain from it up to its anchor, without the
// anchor. It ignores the other certificates of the file.
func (s *source) assemble(key any, all []*x509.Certificate) (tls.Certificate, error) {
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return javaks.IsKeyOf(key, c) })
	if at < 0 {
		return tls.Certificate{}, s.fail("no certificate in the file belongs to the key", "export certificate and key together")
	}
	out := tls.Certificate{PrivateKey: key}
	for c := all[at]; c != nil && len(out.Certificate) <= len(all); c = issuerOf(c, all) { // authorities may certify each other in a circle
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

// issuerOf returns the intermediate certificate that signed c, or nil.
func issuerOf(c *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	for _, i := range all {
		selfIssued := string(i.RawIssuer) == string(i.RawSubject)
		if string(c.RawIssuer) == string(i.RawSubject) && !selfIssued && !i.Equal(c) && c.CheckSignatureFrom(i) == nil {
			return i
		}
	}
	return nil
}
