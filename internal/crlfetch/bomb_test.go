package crlfetch_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// swollen returns list with size bytes of additional entries, which the signature does not
// cover.
func swollen(t testing.TB, list []byte, size int) []byte {
	t.Helper()
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(list, &outer); err != nil {
		t.Fatal(err)
	}
	rest := outer.TBS.Bytes
	for range 5 { // version, algorithm, issuer, two dates
		var one asn1.RawValue
		after, err := asn1.Unmarshal(rest, &one)
		if err != nil {
			t.Fatal(err)
		}
		rest = after
	}
	head := outer.TBS.Bytes[:len(outer.TBS.Bytes)-len(rest)]
	entry := []byte("\x30\x12\x02\x01\x01\x17\x0d260101000000Z")
	entries, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Repeat(entry, size/len(entry))})
	if err != nil {
		t.Fatal(err)
	}
	outer.TBS.FullBytes, outer.TBS.Bytes = nil, append(bytes.Clone(head), entries...)
	der, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	if size < 1<<20 {
		if _, err := x509.ParseRevocationList(der); err != nil {
			t.Fatal(err)
		}
	}
	return der
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(data)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Covers H17: a list without a valid signature costs only its own size, and a compressed
// list is not decompressed.
func TestListThatSwellsIsRefusedCheaply(t *testing.T) {
	w := newWorld(t)
	w.give(w.list(1))
	w.fetched(t)
	w.source.MaxBytes = 4 << 20
	large := swollen(t, w.list(2), 3<<20)
	for name, x := range map[string]struct {
		encoding string
		body     []byte
		most     uint64 // MiB allocated
	}{
		"not signed":                {"", large, 30},
		"not signed, in PEM":        {"", inPEM(swollen(t, w.list(2), 2<<20)), 40},
		"gzip":                      {"gzip", zipped(t, swollen(t, w.list(2), 8<<20)), 3},
		"gzip of a genuine list":    {"gzip", zipped(t, w.list(3)), 3},
		"another encoding":          {"br", w.list(3), 3},
		"x-gzip":                    {"x-gzip", zipped(t, w.list(3)), 3},
		"larger than the cap":       {"", swollen(t, w.list(2), 5<<20), 3},
		"gzip, not declared":        {"", zipped(t, large), 3},
		"a head that is all issuer": {"", longIssuer(t), 30},
	} {
		t.Run(name, func(t *testing.T) {
			w.use(func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "" {
					t.Errorf("Accept-Encoding: %s", r.Header.Get("Accept-Encoding"))
				}
				if x.encoding != "" {
					rw.Header().Set("Content-Encoding", x.encoding)
				}
				rw.Header().Set("Content-Length", fmt.Sprint(len(x.body)))
				rw.Write(x.body)
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			w.refused(t, "")
			runtime.ReadMemStats(&after)
			if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > x.most {
				t.Errorf("%d MiB were allocated for %d KiB, want at most %d", n, len(x.body)>>10, x.most)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("the refusal took %v", d)
			}
		})
	}
}

// longIssuer returns a list with an issuer's name of megabytes.
func longIssuer(t testing.TB) []byte {
	t.Helper()
	ca := testpki.NewCA("x")
	name := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true}
	one := must(t)(asn1.Marshal([]any{[]any{asn1.ObjectIdentifier{2, 5, 4, 3}, "x"}}))
	one[0] = 0x31 // SET
	name.Bytes = bytes.Repeat(one, 2<<20/len(one))
	subject := must(t)(asn1.Marshal(name))
	list := ca.CRL(1, nil)
	return bytes.Replace(list.Raw, list.RawIssuer, subject, 1) // wrong lengths: the parser must not read beyond them
}

func must(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// Covers H17: real lists of more than a megabyte are fetched, and the limit can be configured.
func TestLargeGenuineListIsFetched(t *testing.T) {
	w := newWorld(t)
	serials := make([]*big.Int, 40_000)
	for i := range serials {
		serials[i] = new(big.Int).Lsh(big.NewInt(int64(i+1)), 130)
	}
	list := w.ca.CRL(1, serials).Raw
	if len(list) < 1<<20 {
		t.Fatalf("%d bytes", len(list))
	}
	w.give(list)
	w.source.MaxBytes = 1 << 20
	w.alone(t)
	w.refused(t, "larger than 1 MiB")
	w.source.MaxBytes = 0
	w.fetched(t)
	w.holds(t, list)
}

// ReadHead returns the same as crypto/x509 for the whole list.
func FuzzHead(f *testing.F) {
	ca := testpki.NewCA("Client CA")
	f.Add(ca.CRL(1, []*big.Int{big.NewInt(7)}).Raw)
	f.Add(ca.CRL(2, nil).Raw)
	f.Add(swollen(f, ca.CRL(2, nil).Raw, 100))
	f.Add([]byte("\x30\x80"))
	odd := slices.Clone(ca.CRL(2, nil).Raw)
	copy(odd[bytes.LastIndex(odd, []byte("\x17\x0d")):], "\x01\xff") // in place of nextUpdate
	f.Add(odd)
	f.Fuzz(func(t *testing.T, der []byte) {
		head, err := crlfetch.ReadHead(der)
		whole, wrong := x509.ParseRevocationList(der)
		// crypto/x509 passes over elements that RFC 5280 does not have; trust rejects them.
		if _, strict := trustaccess.ReadCRLs("list.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})); strict == nil && err != nil && len(whole.RawIssuer) < 16<<10-100 {
			t.Fatalf("trust reads the list, and ReadHead fails: %v", err)
		}
		if err != nil || wrong != nil {
			return
		}
		if !bytes.Equal(head.RawTBSRevocationList, whole.RawTBSRevocationList) || !bytes.Equal(head.Signature, whole.Signature) ||
			head.SignatureAlgorithm != whole.SignatureAlgorithm || !bytes.Equal(head.RawIssuer, whole.RawIssuer) {
			t.Fatal("ReadHead differs from crypto/x509")
		}
	})
}
