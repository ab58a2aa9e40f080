package crlfetch

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

var (
	errOtherKey  = errors.New("the CRL is not signed by the anchor whose name it bears, nor by another authority that is known here")
	errNotSigned = errors.New("the CRL is not signed by any authority that is known here")
	errNoCRL     = errors.New("the CRL cannot be read: it is neither DER nor one block of PEM")
)

// checkSigned checks that one of the authorities has signed what was fetched, before
// anything else is read of it: reading the entries of a list takes twenty times its size
// in memory, and whoever stands between here and the server can send any. Whether the
// authority may sign lists, and the names, are checked when the list is read.
func checkSigned(data []byte, authorities []*x509.Certificate) error {
	der, err := singleDER(data)
	if err != nil {
		return err
	}
	head, err := readHead(der)
	if err != nil {
		return err
	}
	signed := func(a *x509.Certificate) bool {
		return a != nil && a.CheckSignature(head.SignatureAlgorithm, head.RawTBSRevocationList, head.Signature) == nil
	}
	named := func(a *x509.Certificate) bool { return a != nil && bytes.Equal(a.RawSubject, head.RawIssuer) }
	switch {
	case slices.ContainsFunc(authorities, signed):
		return nil
	case slices.ContainsFunc(authorities, named):
		return errOtherKey
	}
	return errNotSigned
}

// oneDER is the DER of the one list in an answer.
func singleDER(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if data[0] == 0x30 {
		return data, nil
	}
	if n := bytes.Count(data, []byte("-----BEGIN ")); n > 1 {
		return nil, fmt.Errorf("%d CRLs in one answer", n)
	}
	var der []byte
	err := pemfile.EachOnly("", data, "X509 CRL", func(b pemfile.Block) error { der = b.Bytes; return nil })
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errNoCRL, configerror.All(err)[0].What)
	}
	return der, nil
}

// certificateList is the outside of a list.
type certificateList struct {
	TBS       asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// readHead reads a list without its entries and extensions (RFC 5280 section 5.1), with
// the signature and the bytes that it is over.
func readHead(der []byte) (*x509.RevocationList, error) {
	var whole certificateList
	if rest, err := asn1.Unmarshal(der, &whole); err != nil {
		return nil, fmt.Errorf("the CRL cannot be read: %w", err)
	} else if len(rest) > 0 {
		return nil, errors.New("something follows the CRL")
	}
	// Version, algorithm, issuer and one or two dates stand before the entries.
	rest := whole.TBS.Bytes
	for i := 0; i < 5 && len(rest) > 0; i++ {
		var one asn1.RawValue
		after, err := asn1.Unmarshal(rest, &one)
		if err != nil {
			return nil, fmt.Errorf("the CRL cannot be read: %w", err)
		}
		if i == 4 && one.Tag != asn1.TagUTCTime && one.Tag != asn1.TagGeneralizedTime {
			break // it has no next update
		}
		rest = after
	}
	head := whole.TBS.Bytes[:len(whole.TBS.Bytes)-len(rest)]
	if len(head) > maxHeadBytes {
		return nil, fmt.Errorf("the CRL cannot be read: %d bytes stand before its entries", len(head))
	}
	small, err := asn1.Marshal(certificateList{
		TBS:       asn1.RawValue{Class: whole.TBS.Class, Tag: whole.TBS.Tag, IsCompound: whole.TBS.IsCompound, Bytes: head},
		Algorithm: whole.Algorithm, Signature: asn1.BitString{Bytes: []byte{0}, BitLength: 8},
	})
	if err != nil {
		return nil, fmt.Errorf("the CRL cannot be read: %w", err)
	}
	list, err := x509.ParseRevocationList(small)
	if err != nil {
		return nil, fmt.Errorf("the CRL cannot be read: %w", err)
	}
	list.RawTBSRevocationList, list.Signature = whole.TBS.FullBytes, whole.Signature.RightAlign()
	return list, nil
}

// mostHead is more than the name of any issuer takes.
const maxHeadBytes = 16 << 10
