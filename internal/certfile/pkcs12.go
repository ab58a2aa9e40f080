package certfile

import (
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// readPKCS12 reads a file with one key, or a trust store of Java with certificates only.
func readPKCS12(name, alias string, data []byte, password string) ([]Entry, error) {
	key, certificates, err := javaks.ReadPKCS12(data, password)
	switch {
	case err == nil:
		chain, replaced := orderChain(key, certificates)
		return []Entry{{Alias: alias, Key: key, Chain: chain, Replaced: replaced}}, nil
	case errors.Is(err, javaks.ErrPassword):
		return nil, passwordError(name)
	case errors.Is(err, javaks.ErrIterations):
		return nil, fileError(name, err.Error(), "export the file again, with fewer iterations")
	case errors.Is(err, javaks.ErrKeys):
		return nil, fileError(name, err.Error(), "convert it: "+fileform.SeveralKeys(name))
	}
	certs, trustErr := javaks.ReadTrustStore(data, password)
	if trustErr != nil || len(certs) == 0 {
		if errors.Is(err, javaks.ErrNoKey) {
			return nil, fileError(name, "the PKCS#12 file has certificates without a key, and is not a Java trust store", "convert it: "+fileform.TrustStore(name))
		}
		return nil, fileError(name, "the file is neither a certificate nor a readable PKCS#12 file: "+err.Error(), "copy or export the file again")
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

// orderChain returns the leaf of a key, its issuers, and then the other certificates of the
// file; and those that one of them replaces.
func orderChain(key crypto.PrivateKey, all []*x509.Certificate) (chain, replaced []*x509.Certificate) {
	now := time.Now()
	leaves := certchain.Leaves(key, all, now)
	if len(leaves) == 0 {
		return all, nil
	}
	chain = certchain.Build(leaves[0], all, now)
	for _, c := range all {
		switch {
		case slices.ContainsFunc(chain, c.Equal):
		case slices.ContainsFunc(leaves, c.Equal), slices.ContainsFunc(chain, func(o *x509.Certificate) bool { return certchain.IsSameHolder(c, o) }):
			replaced = append(replaced, c)
		default:
			chain = append(chain, c)
		}
	}
	return chain, replaced
}
