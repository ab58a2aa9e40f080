package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// checkPlain compares parsePlainCRL with crypto/x509, checkListSyntax and the checks of entries:
// a list that is plain means the same to all of them. It reports whether the list is plain.
func checkPlain(t *testing.T, raw []byte) bool {
	t.Helper()
	got, plain := parsePlainCRL(raw)
	if !plain {
		return false
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil || len(list.Raw) != len(raw) {
		t.Fatalf("%x is plain, but crypto/x509 says %v", raw, err)
	}
	want := parseCRL(list)
	if len(want.faults) > 0 || want.opaque {
		t.Fatalf("%x is plain, but %v", raw, want.faults)
	}
	if !slices.Equal(got.serials, want.serials) || got.name != want.name || !got.until.Equal(want.until) || !got.scope.equal(&want.scope) || got.opaque {
		t.Fatalf("%x: %v, want %v", raw, got, want)
	}
	if !reflect.DeepEqual(got.list, want.list) {
		t.Fatalf("%x: the list is %+v, want %+v", raw, got.list, want.list)
	}
	return true
}

// crlRow is a list and whether it is plain.
type crlRow struct {
	name  string
	raw   []byte
	plain bool
}

func crlRows() []crlRow {
	ca := testpki.NewCA("Client CA")
	entry := func(serial *big.Int, change func(*x509.RevocationListEntry)) []byte {
		return ca.CRL(1, []*big.Int{big.NewInt(7), serial}, func(l *x509.RevocationList) {
			if change != nil {
				change(&l.RevokedCertificateEntries[1])
			}
		}).Raw
	}
	extension := func(id asn1.ObjectIdentifier, critical bool, value ...byte) func(*x509.RevocationListEntry) {
		return func(e *x509.RevocationListEntry) {
			e.ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: value}}
		}
	}
	large := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(1))
	return []crlRow{
		{"no entries", ca.CRL(1, nil).Raw, true},
		{"two entries", entry(big.NewInt(0x80), nil), true},
		{"one serial number twice", entry(big.NewInt(7), nil), true},
		{"the largest serial number", entry(large, nil), true},
		{"a reason", entry(big.NewInt(9), func(e *x509.RevocationListEntry) { e.ReasonCode = 1 }), true},
		{"another extension", entry(big.NewInt(9), extension(asn1.ObjectIdentifier{2, 5, 29, 24}, false, 5, 0)), true},
		{"a date after 2049", entry(big.NewInt(9), func(e *x509.RevocationListEntry) { e.RevocationTime = time.Date(2051, 1, 1, 0, 0, 0, 0, time.UTC) }), true},
		{"a next update after 2049", ca.CRL(2, nil, func(l *x509.RevocationList) { l.NextUpdate = time.Date(2051, 1, 1, 0, 0, 0, 0, time.UTC) }).Raw, true},
		{"a critical extension of an entry", entry(big.NewInt(9), extension(asn1.ObjectIdentifier{2, 5, 29, 24}, true, 5, 0)), false},
		{"a certificate issuer", entry(big.NewInt(9), extension(oidCertificateIssuer, false, 0x30, 0)), false},
		{"removeFromCRL", entry(big.NewInt(9), func(e *x509.RevocationListEntry) { e.ReasonCode = reasonRemoved }), false},
		{"an unknown reason", entry(big.NewInt(9), func(e *x509.RevocationListEntry) { e.ReasonCode = 7 }), false},
		{"a serial number that is too long", entry(new(big.Int).Lsh(big.NewInt(1), 160), nil), false},
		{"a negative serial number", replaceBytes(entry(big.NewInt(0x1234), nil), "\x02\x02\x12\x34", "\x02\x02\x92\x34"), false},
		{"a delta list", ca.CRL(1, nil, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oidDelta, Critical: true, Value: []byte{2, 1, 1}}}
		}).Raw, false},
		{"data after the list", append(slices.Clone(ca.CRL(1, nil).Raw), 0), false},
		{"no list", []byte("\x30\x03\x02\x01\x01"), false},
		{"nothing", nil, false},
	}
}

func replaceBytes(raw []byte, old, replacement string) []byte {
	if !strings.Contains(string(raw), old) {
		panic("no such bytes")
	}
	return []byte(strings.Replace(string(raw), old, replacement, 1))
}

// Usual lists are parsed the short way, and mean the same. All others take the long way.
func TestPlainCRLs(t *testing.T) {
	t.Parallel()
	for _, row := range crlRows() {
		if got := checkPlain(t, row.raw); got != row.plain {
			t.Errorf("%s: plain %v, want %v", row.name, got, row.plain)
		}
	}
}

// A plain list of which any byte was changed is rejected, or means the same to crypto/x509.
func TestCorruptPlainCRLs(t *testing.T) {
	t.Parallel()
	for _, row := range crlRows()[1:6] {
		plain := 0
		for i := range row.raw {
			for _, change := range []byte{0x01, 0x20, 0x80, 0xff} {
				raw := slices.Clone(row.raw)
				raw[i] ^= change
				if checkPlain(t, raw) {
					plain++
				}
			}
			checkPlain(t, slices.Delete(slices.Clone(row.raw), i, i+1))
			checkPlain(t, slices.Insert(slices.Clone(row.raw), i, row.raw[i]))
		}
		if plain == 0 {
			t.Errorf("%s: no change was plain: the test shows nothing", row.name)
		}
	}
}

// A list that is not plain has the errors of the general parser, also in a file beside plain lists.
func TestParseCRLsReportsWhatReadCRLsDoes(t *testing.T) {
	t.Parallel()
	for _, row := range crlRows() {
		parsed, err := parseCRLs("ca.crl", row.raw)
		lists, want := readCRLs("ca.crl", row.raw)
		if fmt.Sprint(err) != fmt.Sprint(want) || len(parsed) != len(lists) {
			t.Errorf("%s: %v and %d lists, want %v and %d", row.name, err, len(parsed), want, len(lists))
		}
		for i, l := range lists {
			got := parsed[i].Parsed.(*parsedCRL).check(nil, time.Now())
			if want := checkCRL(l.List, nil, time.Now()); fmt.Sprint(got) != fmt.Sprint(want) || parsed[i].Line != l.Line {
				t.Errorf("%s: %v, want %v", row.name, got, want)
			}
		}
	}
}

func FuzzPlainCRL(f *testing.F) {
	for _, row := range crlRows() {
		f.Add(row.raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkPlain(t, raw) })
}
