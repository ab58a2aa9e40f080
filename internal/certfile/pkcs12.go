package certfile

import (
	"crypto/x509"
	"errors"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// readPKCS12 reads a file with one key, or a trust store of Java with certificates only.
func readPKCS12(name, alias string, data []byte, password string) ([]Entry, error) {
	key, certificates, err := javaks.ReadPKCS12(data, password)
	switch {
	case err == nil:
		return []Entry{{Alias: alias, Key: key, Chain: orderChain(key, certificates)}}, nil
	case errors.Is(err, javaks.ErrPassword):
		return nil, passwordError(name)
	case errors.Is(err, javaks.ErrIterations):
		return nil, fileError(name, err.Error(), "write the file again with openssl or keytool")
	}
	certs, trustErr := javaks.ReadTrustStore(data, password)
	if trustErr != nil || len(certs) == 0 {
		return nil, fileError(name, "the file is neither a certificate nor a readable PKCS#12 file: "+err.Error(),
			"openssl pkcs12 -in FILE -info may show the error; if the file has several keys, keytool -importkeystore -srcalias ALIAS extracts one")
	}
	var out []Entry
	for _, c := range certs {
		out = append(out, Entry{Alias: alias, Chain: []*x509.Certificate{c}})
	}
	return out, nil
}

func passwordError(name string) error {
	return fileError(name, "the password of the file is wrong or missing", "--password-file FILE, or the environment variable MTLSGUARD_PASSWORD")
}

// orderChain returns the leaf first, then its issuers, then the other certificates of the
// file.
func orderChain(key any, all []*x509.Certificate) []*x509.Certificate {
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return javaks.IsKeyOf(key, c) })
	if at < 0 {
		return all
	}
	out, rest := []*x509.Certificate{all[at]}, slices.Delete(slices.Clone(all), at, at+1)
	for {
		last := out[len(out)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return string(c.RawSubject) == string(last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			return append(out, rest...)
		}
		out = append(out, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
}
