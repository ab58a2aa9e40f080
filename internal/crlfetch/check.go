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

// checkFetched checks a fetched list as trust.New does. It also rejects lists that an attacker
// on the network could send: a list that no known authority signed, a list of another series
// than the file's, and an older list, which may be a replay. same reports whether the file
// already holds the list.
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
		return nil, false, fmt.Errorf("the answer holds %d CRLs, not one", len(lists))
	}
	list = lists[0].List
	if err := trustaccess.CheckCRL(list, authorities, f.now()); err != nil {
		return nil, false, err
	}
	// CheckCRL accepts the list of an unknown authority. Here an attacker could use such a list
	// to replace a good one.
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
		return list, true, nil // saves parsing it
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

// sameSeries reports whether one list replaces the other. A list of the same CA for other
// certificates is genuine too, but must not replace the file's.
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
