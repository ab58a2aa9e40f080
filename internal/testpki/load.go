package testpki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
)

// Load reads a pair from two PEM files, such as those of testdata/pki.
func Load(certificateFile, keyFile string) (*Pair, error) {
	loaded, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, err
	}
	out := &Pair{Cert: loaded.Leaf, Key: loaded.PrivateKey.(crypto.Signer)}
	for _, der := range loaded.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out.Chain = append(out.Chain, c)
	}
	return out, nil
}
