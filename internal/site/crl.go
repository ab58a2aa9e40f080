package site

import (
	"crypto/sha256"
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
	trustaccess.ParsedCRL
	file string
	name string // as the configuration names it
}

// crls reads the revocation lists of a file, and parses them once for the same content. It
// compares them with the clock and with the authorities in any case.
func (l *loader) crls(n config.Scalar, path, name string, digest [sha256.Size]byte, authorities []*x509.Certificate) []placedCRL {
	found, _ := keep(l, keyOf("CRLs", digest), func() ([]trustaccess.ParsedCRL, bool) {
		data, ok := l.need(n.In(path), name)
		if !ok {
			return nil, false
		}
		defer l.files.Release(name)
		found, err := trustaccess.ParseCRLs(name, data)
		l.wrong.Merge(err, configerror.Error{File: name})
		return found, err == nil
	})
	var out []placedCRL
	for _, crl := range found {
		now := l.now()
		if err := trustaccess.CheckParsedCRL(crl, authorities, now); err != nil {
			if crl.List.ThisUpdate.After(now) { // the CA's clock is ahead: what it revokes must not wait for the next list
				l.files.RetryAt(crl.List.ThisUpdate)
			}
			l.wrong.Merge(placed(err, name, crl.Line), configerror.Error{File: name, Line: crl.Line})
			continue
		}
		out = append(out, placedCRL{crl, name, n.Value})
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
