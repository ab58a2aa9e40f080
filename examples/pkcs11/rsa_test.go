package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// withoutPSS is a key in a token that does not know RSA-PSS: SoftHSM knows it.
type withoutPSS struct{ crypto.Signer }

func (k withoutPSS) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return nil, pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID)
	}
	return k.Signer.Sign(r, digest, opts)
}

// An RSA key of a token serves TLS 1.3 if the token knows RSA-PSS. If not, the README's settings help.
func TestRSAKeyOfTheToken(t *testing.T) {
	newToken(t)
	token, err := openToken()
	if err != nil {
		t.Fatal(err)
	}
	defer token.Close()
	key, err := token.GenerateRSAKeyPairWithLabel([]byte{1}, []byte("rsa"), 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(own)
	pkcs1 := []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512}
	for name, row := range map[string]struct {
		key      crypto.Signer
		schemes  []tls.SignatureScheme
		settings *tls.Config
		version  uint16 // 0: it does not work
	}{
		"a token with RSA-PSS": {key, nil, nil, tls.VersionTLS13},
		"a token without":      {withoutPSS{key}, nil, nil, 0},
		"as the README says":   {withoutPSS{key}, pkcs1, &tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			port, err := ports.New(ports.Config{
				Name: "rsa", Addr: "127.0.0.1:0", ClientAuth: ports.None, TLS: row.settings,
				Certificate: ports.Static(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: row.key, SupportedSignatureAlgorithms: row.schemes}),
				OnHandshake: func(h ports.Handshake) {
					if h.Err != nil {
						failed <- h.Err
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			l, err := port.Listen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.NotFoundHandler()}
			if err := port.Configure(srv); err != nil {
				t.Fatal(err)
			}
			go srv.Serve(l)
			defer srv.Close()
			res, err := testkit.Client(t, roots, nil).Get("https://localhost:" + strings.Split(port.Addr().String(), ":")[1])
			switch {
			case row.version == 0 && err == nil:
				t.Error("it works")
			case row.version == 0:
				if err := <-failed; !strings.Contains(err.Error(), "CKR_MECHANISM_INVALID") || !strings.Contains(err.Error(), "Use an EC key") {
					t.Error(err)
				}
			case err != nil:
				t.Error(err)
			default:
				res.Body.Close()
				if res.TLS.Version != row.version {
					t.Errorf("version %x, want %x", res.TLS.Version, row.version)
				}
			}
		})
	}
}
