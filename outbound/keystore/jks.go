package keystore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

func (s *source) parseJKS() (tls.Certificate, error) {
	none := tls.Certificate{}
	if !wellFormedJKS(s.data) {
		return none, s.wrong("the Java keystore is damaged", "keytool -list -keystore FILE shows what Java makes of it")
	}
	password, err := s.secret(s.password)
	if err != nil {
		return none, err
	}
	keyPassword := password
	if s.keyPassword != nil {
		if keyPassword, err = s.secret(s.keyPassword); err != nil {
			return none, err
		}
	}
	store := keystore.New(keystore.WithOrderedAliases())
	if err := store.Load(bytes.NewReader(s.data), []byte(password)); err != nil {
		return none, s.wrong("the password is not that of the Java keystore, or the file is damaged", "")
	}
	entry, err := s.entry(&store)
	if err != nil {
		return none, err
	}
	private, err := store.GetPrivateKeyEntry(entry, []byte(keyPassword))
	if err != nil {
		return none, s.wrong("the key of the entry cannot be decrypted", "its password may differ from the keystore's: KeyPassword")
	}
	key, err := x509.ParsePKCS8PrivateKey(private.PrivateKey)
	if err != nil {
		return none, s.wrong("the key of the entry cannot be read", "RSA, ECDSA or Ed25519")
	}
	var all []*x509.Certificate
	for _, c := range private.CertificateChain {
		cert, err := x509.ParseCertificate(c.Content)
		if err != nil {
			return none, s.wrong("a certificate of the entry cannot be read: "+err.Error(), "")
		}
		all = append(all, cert)
	}
	out, err := assemble(key, all)
	if err != nil {
		return none, s.wrong(err.Error(), "")
	}
	return out, nil
}

// entry returns the name of the entry to use: the one that is asked for, or the only
// one with a key.
func (s *source) entry(store *keystore.KeyStore) (string, error) {
	var keys []string
	for _, a := range store.Aliases() {
		if store.IsPrivateKeyEntry(a) {
			keys = append(keys, a)
		}
	}
	wanted := strings.ToLower(s.inside) // as Java has it
	switch {
	case len(keys) == 0:
		return "", s.wrong("the Java keystore has no key", "a truststore holds certificates only")
	case wanted != "" && !slices.ContainsFunc(keys, func(k string) bool { return strings.ToLower(k) == wanted }):
		return "", s.wrong("the Java keystore has no such entry with a key", "entries: "+strings.Join(keys, ", "))
	case wanted != "":
		return wanted, nil
	case len(keys) > 1:
		return "", s.wrong("the Java keystore has several keys", "Entry: one of "+strings.Join(keys, ", "))
	}
	return keys[0], nil
}

// wellFormedJKS walks through a keystore before the library allocates what the file
// says: a length of four bytes is up to 4 GiB.
func wellFormedJKS(data []byte) bool {
	w := walker{rest: data, ok: true}
	w.uint32() // magic
	version, entries := w.uint32(), w.uint32()
	if version != 1 && version != 2 {
		return false
	}
	for range entries {
		if !w.ok {
			return false
		}
		tag := w.uint32()
		w.skip(uint32(w.uint16())) // alias
		w.skip(8)                  // date
		certificates := uint32(1)
		switch tag {
		case 1:
			if key := w.take(w.uint32()); w.ok && !wellFormedKey(key) {
				return false
			}
			if certificates = w.uint32(); certificates > 64 {
				return false
			}
		case 2:
		default:
			return false
		}
		for range certificates {
			if version == 2 {
				w.skip(uint32(w.uint16())) // type
			}
			w.skip(w.uint32())
		}
	}
	w.skip(20) // SHA-1
	return w.ok && len(w.rest) == 0
}

// wellFormedKey reports whether a key is long enough for its salt and digest.
func wellFormedKey(der []byte) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	rest, err := asn1.Unmarshal(der, &key)
	return err == nil && len(rest) == 0 && len(key.Data) >= 40
}

// walker reads and never beyond the end.
type walker struct {
	rest []byte
	ok   bool
}

func (w *walker) take(n uint32) []byte {
	if !w.ok || uint64(n) > uint64(len(w.rest)) {
		w.ok = false
		return nil
	}
	out := w.rest[:n]
	w.rest = w.rest[n:]
	return out
}

func (w *walker) skip(n uint32) { w.take(n) }

func (w *walker) uint16() uint16 {
	if b := w.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (w *walker) uint32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
