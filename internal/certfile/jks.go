package certfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

// readJKS reads every entry of a Java keystore, in the order of their aliases.
func readJKS(name string, data []byte, p Passwords) ([]Entry, error) {
	if !isCompleteJKS(data) {
		return nil, fileError(name, "the Java keystore is damaged", "keytool -list -keystore FILE may show the error")
	}
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCaseExactAliases())
	if err := store.Load(bytes.NewReader(data), []byte(p.Store)); err != nil {
		return nil, passwordError(name)
	}
	password := p.Store
	if p.Key != "" {
		password = p.Key
	}
	var out []Entry
	for _, alias := range store.Aliases() {
		e, err := readJKSEntry(&store, alias, password)
		if err != nil {
			return nil, fileError(name, fmt.Sprintf("entry %q: %s", alias, err), "keytool -list -v -keystore FILE may show the error")
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, fileError(name, "the Java keystore has no entry", "name a keystore with certificates")
	}
	return out, nil
}

func readJKSEntry(store *keystore.KeyStore, alias, password string) (Entry, error) {
	e := Entry{Alias: alias}
	var certs []keystore.Certificate
	if store.IsPrivateKeyEntry(alias) {
		var err error
		if certs, err = store.GetPrivateKeyEntryCertificateChain(alias); err != nil {
			return e, err
		}
		e.Key, e.Locked = readJKSKey(store, alias, password)
	} else {
		trusted, err := store.GetTrustedCertificateEntry(alias)
		if err != nil {
			return e, err
		}
		certs = []keystore.Certificate{trusted.Certificate}
	}
	for _, raw := range certs {
		c, err := x509.ParseCertificate(raw.Content)
		if err != nil {
			return e, fmt.Errorf("a certificate cannot be parsed: %w", err)
		}
		e.Chain = append(e.Chain, c)
	}
	if len(e.Chain) == 0 {
		return e, errors.New("the entry has no certificate")
	}
	return e, nil
}

func readJKSKey(store *keystore.KeyStore, alias, password string) (crypto.PrivateKey, error) {
	private, err := store.GetPrivateKeyEntry(alias, []byte(password))
	if err != nil {
		return nil, fmt.Errorf("the key of entry %q has a different password than the keystore", alias)
	}
	key, err := x509.ParsePKCS8PrivateKey(private.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the key of entry %q cannot be parsed", alias)
	}
	return key, nil
}

// KeyMatches reports whether a certificate has the public key of a private key.
func KeyMatches(key crypto.PrivateKey, c *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// isCompleteJKS reports whether every length in a keystore fits its size. The library
// allocates by these lengths, which may be up to 4 GiB.
func isCompleteJKS(data []byte) bool {
	w := byteReader{rest: data, ok: true}
	w.number(4) // magic
	version, entries := w.number(4), w.number(4)
	if version != 1 && version != 2 {
		return false
	}
	for i := uint64(0); i < entries && w.ok; i++ {
		kind := w.number(4)
		w.skip(w.number(2)) // alias
		w.skip(8)           // date
		certificates := uint64(1)
		if kind == 1 {
			w.skip(w.number(4)) // key
			certificates = w.number(4)
		} else if kind != 2 {
			return false
		}
		for ; certificates > 0 && w.ok; certificates-- {
			if version == 2 {
				w.skip(w.number(2)) // type
			}
			w.skip(w.number(4))
		}
	}
	w.skip(20) // SHA-1
	return w.ok && len(w.rest) == 0
}

// byteReader reads numbers and skips bytes, never beyond the end.
type byteReader struct {
	rest []byte
	ok   bool
}

func (w *byteReader) skip(n uint64) []byte {
	if !w.ok || n > uint64(len(w.rest)) {
		w.ok = false
		return nil
	}
	out := w.rest[:n]
	w.rest = w.rest[n:]
	return out
}

func (w *byteReader) number(size uint64) uint64 {
	b := w.skip(size)
	switch len(b) {
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return 0
}
