// Package javaks reads Java keystores: JKS, and PKCS#12, which Java writes since version 9.
//
// The libraries underneath were not written for hostile files: they allocate and iterate as
// much as a length in a file asks for, and may panic. This package checks every length and count before,
// and turns a panic into an error.
package javaks

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
)

// Format is the format of a file with certificates.
type Format int

// The formats that the first bytes of a file show.
const (
	Other Format = iota // such as PEM
	DER                 // a DER SEQUENCE: a certificate, or PKCS#12
	JKS
	JCEKS // not supported
)

// FormatOf returns the format of a file by its first bytes.
func FormatOf(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, []byte{0x30}):
		return DER
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return JKS
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return JCEKS
	}
	return Other
}

// Errors of a file. Their messages contain nothing secret.
var (
	ErrPassword   = errors.New("the password of the file is wrong or missing")
	ErrDamaged    = errors.New("the Java keystore is damaged")
	ErrKeys       = errors.New("the PKCS#12 file has several keys")
	ErrNoKey      = errors.New("the PKCS#12 file has no key")
	ErrIterations = fmt.Errorf("the file requires more than %d iterations for its password", maxIterations)
)

// Entry is an entry of a keystore.
type Entry struct {
	Alias  string
	HasKey bool
	Chain  []*x509.Certificate
	Key    crypto.PrivateKey // nil without a key, and with KeyErr
	KeyErr error             // the key cannot be decrypted or parsed
	Err    error             // a certificate of the entry cannot be parsed
}

// Errors of a key in a JKS file.
var (
	ErrKeyPassword = errors.New("the key has a different password than the keystore")
	ErrKeyFormat   = errors.New("the key cannot be parsed")
)

// ReadJKS reads the entries of a JKS file, sorted by alias. An entry with an error does not
// make ReadJKS fail.
func ReadJKS(data []byte, password, keyPassword string) (entries []Entry, err error) {
	defer func() {
		if r := recover(); r != nil {
			entries, err = nil, ErrDamaged
		}
	}()
	if !isCompleteJKS(data) {
		return nil, ErrDamaged
	}
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCaseExactAliases())
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return nil, ErrPassword
	}
	for _, alias := range store.Aliases() {
		entries = append(entries, readEntry(&store, alias, keyPassword))
	}
	return entries, nil
}

func readEntry(store *keystore.KeyStore, alias, keyPassword string) Entry {
	e := Entry{Alias: alias, HasKey: store.IsPrivateKeyEntry(alias)}
	var certificates []keystore.Certificate
	if e.HasKey {
		certificates, e.Err = store.GetPrivateKeyEntryCertificateChain(alias)
		e.Key, e.KeyErr = readKey(store, alias, keyPassword)
	} else {
		var trusted keystore.TrustedCertificateEntry
		trusted, e.Err = store.GetTrustedCertificateEntry(alias)
		certificates = []keystore.Certificate{trusted.Certificate}
	}
	if e.Err != nil {
		return e
	}
	for _, c := range certificates {
		parsed, err := algorithm.ParseCertificate(c.Content)
		if err != nil {
			e.Err = fmt.Errorf("a certificate cannot be parsed: %w", err)
			return e
		}
		e.Chain = append(e.Chain, parsed)
	}
	if len(e.Chain) == 0 {
		e.Err = errors.New("the entry has no certificate")
	}
	return e
}

func readKey(store *keystore.KeyStore, alias, password string) (crypto.PrivateKey, error) {
	private, err := store.GetPrivateKeyEntry(alias, []byte(password))
	if err != nil {
		return nil, ErrKeyPassword
	}
	key, err := x509.ParsePKCS8PrivateKey(private.PrivateKey)
	if err != nil {
		return nil, ErrKeyFormat
	}
	return key, nil
}

// ReadPKCS12 reads a PKCS#12 file with one key. The order of the certificates is the file's,
// except that of several certificates of the key, the one that the file marks as the key's
// (localKeyID) comes first.
func ReadPKCS12(data []byte, password string) (key crypto.PrivateKey, certificates []*x509.Certificate, err error) {
	defer recoverPKCS12(&err)
	if exceedsIterations(data) {
		return nil, nil, ErrIterations
	}
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, nil, pkcs12Error(err)
	}
	certificates = append([]*x509.Certificate{leaf}, others...)
	if own := slices.DeleteFunc(slices.Clone(certificates), func(c *x509.Certificate) bool { return !certchain.IsKeyOf(key, c) }); len(own) > 1 {
		marked := markedLeaf(data, password)
		slices.SortStableFunc(certificates, func(a, b *x509.Certificate) int { return order(a, marked) - order(b, marked) })
	}
	return key, certificates, nil
}

// markedLeaf returns the DER of the certificate with the localKeyID of the key, or nil.
func markedLeaf(data []byte, password string) []byte {
	//lint:ignore SA1019 ToPEM alone returns localKeyID; its keys are not used
	all, err := pkcs12.ToPEM(data, password)
	if err != nil { // an Ed25519 key, for example: the order of the file counts
		return nil
	}
	at := slices.IndexFunc(all, func(b *pem.Block) bool { return b.Type == "PRIVATE KEY" })
	for _, b := range all {
		if id := b.Headers["localKeyId"]; at >= 0 && id != "" && id == all[at].Headers["localKeyId"] && b.Type == "CERTIFICATE" {
			return b.Bytes
		}
	}
	return nil
}

// order returns 0 for the marked certificate, and 1 for the others.
func order(c *x509.Certificate, marked []byte) int {
	if bytes.Equal(c.Raw, marked) {
		return 0
	}
	return 1
}

// ReadTrustStore reads a PKCS#12 file of Java with trusted certificates only.
func ReadTrustStore(data []byte, password string) (certificates []*x509.Certificate, err error) {
	defer recoverPKCS12(&err)
	if exceedsIterations(data) {
		return nil, ErrIterations
	}
	certificates, err = pkcs12.DecodeTrustStore(data, password)
	if err != nil {
		return nil, pkcs12Error(err)
	}
	return certificates, nil
}

func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return ErrPassword
	}
	switch { // the library has no values for these
	case strings.Contains(err.Error(), "exactly one key bag"):
		return ErrKeys
	case strings.Contains(err.Error(), "private key missing"):
		return ErrNoKey
	}
	return err
}

func recoverPKCS12(err *error) {
	if r := recover(); r != nil {
		*err = errors.New("the PKCS#12 file is damaged")
	}
}
