package crlfetch

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

var (
	errOtherKey  = errors.New("the CRL has the name of an anchor, but no known authority signed it")
	errNotSigned = errors.New("no known authority signed the CRL")
	errNoCRL     = errors.New("the CRL cannot be read: it is neither DER nor one block of PEM")
)

// checkSigned checks that one of the authorities signed a fetched list. It does so before the
// entries are parsed: parsing takes twenty times the size of the list in memory, and an
// attacker on the network could send any list. Names, and whether the authority may sign
// lists, are checked later.
func checkSigned(data []byte, authorities []*x509.Certificate) error {
	der, err := singleDER(data)
	if err != nil {
		return err
	}
	head, err := readHead(der)
	if err != nil {
		if fileform.IsVersion1List(der) {
			return errors.New(fileform.Version1)
		}
		return err
	}
	if name := algorithm.UnsupportedListSignature(head); name != "" {
		return errors.New("the CRL is signed with an algorithm that is not supported: " + name)
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

// singleDER returns the DER of the only list in an answer.
func singleDER(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if data[0] == 0x30 {
		return data, nil
	}
	if n := bytes.Count(data, []byte("-----BEGIN ")); n > 1 {
		return nil, fmt.Errorf("the answer holds %d CRLs, not one", n)
	}
	var der []byte
	err := pemfile.EachOnly("", data, "X509 CRL", func(b pemfile.Block) error { der = b.Bytes; return nil })
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errNoCRL, configerror.All(err)[0].What)
	}
	return der, nil
}

// certificateList is the outer structure of a list.
type certificateList struct {
	TBS       asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// readHead parses a list without its entries and extensions (RFC 5280 section 5.1). The result
// has the signature and the signed bytes.
func readHead(der []byte) (*x509.RevocationList, error) {
	var whole certificateList
	if rest, err := asn1.Unmarshal(der, &whole); err != nil {
		return nil, fmt.Errorf("the CRL cannot be read: %w", err)
	} else if len(rest) > 0 {
		return nil, errors.New("there is data after the CRL")
	}
	// Version, algorithm, issuer and one or two dates precede the entries.
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
		return nil, fmt.Errorf("the CRL cannot be read: its entries begin after %d bytes", len(head))
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

// maxHeadBytes is larger than the head of any genuine list.
const maxHeadBytes = 16 << 10
