package crlfetch

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

var oidScope = asn1.ObjectIdentifier{2, 5, 29, 28}

// believe judges what was fetched as trust does when it loads it, and refuses what a
// stranger could put in the way: a list that nobody known signed, one of another
// series than the file's, and an older one, which somebody may be playing back.
// It reports whether the file holds the list already.
func (f *Fetcher) checkFetched(s Source, file, data []byte) (list *x509.RevocationList, same bool, err error) {
	authorities := slices.Concat(s.Anchors, s.Issuers)
	if err := checkSigned(data, authorities); err != nil {
		return nil, false, err
	}
	lists, err := trustaccess.ReadCRLs(s.URL, data)
	if err != nil {
		return nil, false, err
	}
	if len(lists) != 1 {
		return nil, false, fmt.Errorf("%d CRLs in one answer", len(lists))
	}
	list = lists[0].List
	if err := trustaccess.CheckCRL(list, authorities, f.now()); err != nil {
		return nil, false, err
	}
	// CheckCRL leaves the list of an authority that it does not know to the chain that
	// shows one. Here that would let anybody put another list in the place of a good one.
	if !slices.ContainsFunc(authorities, func(a *x509.Certificate) bool { return signedBy(list, a) }) {
		return nil, false, errNotSigned
	}
	if f.isExpired(list) {
		return nil, false, errExpired
	}
	if file == nil {
		return list, false, nil
	}
	if bytes.Equal(file, data) {
		return list, true, nil // and need not be read twice
	}
	have, err := parseFile(s.File, file)
	if have == nil {
		return list, false, err
	}
	switch {
	case !sameSeries(list, have):
		return nil, false, errors.New("the CRL is of another issuer, key or scope than the one in the file; remove the file to change it on purpose")
	case trustaccess.IsOlderCRL(list, have), !trustaccess.IsOlderCRL(have, list) && list.ThisUpdate.Before(have.ThisUpdate):
		return nil, false, errors.New("the CRL is older than the one in the file")
	}
	return list, bytes.Equal(have.Raw, list.Raw), nil
}

func signedBy(list *x509.RevocationList, a *x509.Certificate) bool {
	return a != nil && dn.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil
}

// sameSeries reports whether one list replaces the other. A list of the CA's for
// other certificates is genuine too, and would take the file's away.
func sameSeries(a, b *x509.RevocationList) bool {
	return dn.Equal(a.RawIssuer, b.RawIssuer) && bytes.Equal(a.AuthorityKeyId, b.AuthorityKeyId) &&
		bytes.Equal(rawScope(a), rawScope(b))
}

func rawScope(list *x509.RevocationList) []byte {
	for _, e := range list.Extensions {
		if e.Id.Equal(oidScope) {
			return e.Value
		}
	}
	return nil
}
