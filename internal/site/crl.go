package site

import (
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// crlFiles are the files that an entry of crls means: itself, or what lies in it if
// it is a folder.
func (l *loader) crlFiles(path string, n config.Scalar) []string {
	name := l.files.Beside(path, n.Value)
	inside, ok := l.files.List(name, ".crl", ".pem", ".der")
	if !ok {
		return []string{name}
	}
	if len(inside) == 0 {
		l.blame(n.In(path), name, fmt.Sprintf("the folder %s holds no CRL", name), "add a file whose name ends in .crl, .pem or .der")
	}
	return inside
}

// placedCRL is a list and where it stands.
type placedCRL struct {
	trustaccess.CRL
	file string
	name string // as the configuration names it
}

// crls reads revocation lists.
func (l *loader) crls(name, configured string, data []byte, authorities []*x509.Certificate) []placedCRL {
	found, err := trustaccess.ReadCRLs(name, data)
	l.wrong.Merge(err, configerror.Error{File: name})
	var out []placedCRL
	for _, crl := range found {
		now := l.now()
		if err := trustaccess.CheckCRL(crl.List, authorities, now); err != nil {
			if crl.List.ThisUpdate.After(now) { // the CA's clock is ahead: what it revokes must not wait for the next list
				l.files.RetryAt(crl.List.ThisUpdate)
			}
			l.wrong.Merge(placed(err, name, crl.Line), configerror.Error{File: name, Line: crl.Line})
			continue
		}
		out = append(out, placedCRL{crl, name, configured})
	}
	return out
}

// checkNoneOlder rejects CRLs that are older than the current ones. A list that is not the
// newest of its issuer here does not count: a folder may hold last week's beside today's.
func (l *loader) checkNoneOlder(lists []placedCRL, here, inForce *trust.Verifier) bool {
	fine := true
	for _, list := range lists {
		if err := trustaccess.CheckNotOlder(inForce, list.List); err != nil && trustaccess.CheckNotOlder(here, list.List) == nil {
			l.wrong.Merge(placed(err, list.file, list.Line), configerror.Error{File: list.file, Line: list.Line})
			fine = false
		}
	}
	return fine
}
