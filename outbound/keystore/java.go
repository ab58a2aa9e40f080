package keystore

import (
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// parsePKCS12 returns the key and the certificates of a PKCS#12 file.
func (s *source) parsePKCS12() (crypto.PrivateKey, []*x509.Certificate, error) {
	password, err := s.callPassword(s.password)
	if err != nil {
		return nil, nil, err
	}
	key, certificates, err := javaks.ReadPKCS12(s.data, password)
	switch {
	case errors.Is(err, javaks.ErrPassword):
		return nil, nil, s.fail(err.Error(), "check Password")
	case errors.Is(err, javaks.ErrIterations):
		return nil, nil, s.fail(err.Error(), "export the file again, with fewer iterations")
	case errors.Is(err, javaks.ErrKeys):
		return nil, nil, s.fail(err.Error(), "a Java keystore can have several, and Entry chooses one: "+fileform.SeveralKeys(s.name))
	case errors.Is(err, javaks.ErrNoKey):
		return nil, nil, s.fail(err.Error(), "export certificate and key together")
	case err != nil:
		return nil, nil, s.fail("the PKCS#12 file cannot be parsed: "+err.Error(), "copy or export the file again")
	}
	return key, certificates, nil
}

// parseJKS returns the key and the certificates of one entry of a Java keystore.
func (s *source) parseJKS() (crypto.PrivateKey, []*x509.Certificate, error) {
	password, err := s.callPassword(s.password)
	if err != nil {
		return nil, nil, err
	}
	keyPassword := password
	if s.keyPassword != nil {
		if keyPassword, err = s.callPassword(s.keyPassword); err != nil {
			return nil, nil, err
		}
	}
	entries, err := javaks.ReadJKS(s.data, password, keyPassword)
	switch {
	case errors.Is(err, javaks.ErrPassword):
		return nil, nil, s.fail("the password of the Java keystore is wrong, or the file is damaged", "check Password")
	case err != nil:
		return nil, nil, s.fail(err.Error(), "copy the file again")
	}
	entry, err := s.chooseEntry(entries)
	switch {
	case err != nil:
		return nil, nil, err
	case errors.Is(entry.KeyErr, javaks.ErrKeyPassword):
		return nil, nil, s.fail("the key of the entry cannot be decrypted", "if its password differs from the keystore's, set KeyPassword")
	case entry.KeyErr != nil:
		return nil, nil, s.fail("the key of the entry cannot be parsed", "RSA, ECDSA or Ed25519")
	case entry.Err != nil:
		return nil, nil, s.fail(entry.Err.Error(), "export the entry again from its source")
	}
	return entry.Key, entry.Chain, nil
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
