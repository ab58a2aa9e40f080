package site

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

// clientPair is a client certificate in files. It is safe for concurrent use.
type clientPair struct {
	fsys      fs.FS // nil: the operating system's
	cert, key string
	last      atomic.Pointer[tls.Certificate]
}

// load reads the files.
func (p *clientPair) load() error {
	files := fileset.New(p.fsys)
	cert, err := files.Get(p.cert)
	key, keyErr := files.Get(p.key)
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		p.last.Store(&pair)
	}
	return err
}

// current is for tls.Config.GetClientCertificate. It reads the files again, so that a renewed
// certificate is presented without a restart: with an expired one a node would hear of no generation any
// more. While the files do not fit together, which are replaced one after the other, the last pair stays.
func (p *clientPair) current(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	_ = p.load() // the server says what is wrong with the last pair
	return p.last.Load(), nil
}
