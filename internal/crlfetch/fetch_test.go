package crlfetch_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

func TestFetched(t *testing.T) {
	w := newWorld(t)
	first, second := w.list(1), w.list(2)
	w.give(first)
	w.fetched(t)
	w.holds(t, first)
	w.give(second)
	w.fetched(t)
	w.holds(t, second)
	later := w.list(3, dated(-2*time.Hour, time.Hour)) // the number counts, not the date
	w.give(later)
	w.fetched(t)
	w.holds(t, later)
	third := inPEM(w.list(4))
	w.give(third)
	w.fetched(t)
	w.holds(t, third)
	if info, err := os.Stat(w.source.File); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

func TestFileIsLeftAloneWhereNothingChanged(t *testing.T) {
	w := newWorld(t)
	list := w.list(1)
	w.put(t, inPEM(list)) // the same list as PEM
	before, err := os.Stat(w.source.File)
	if err != nil {
		t.Fatal(err)
	}
	w.give(list)
	w.fetched(t)
	w.holds(t, inPEM(list))
	if after, err := os.Stat(w.source.File); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced: %v", err)
	}
	// A changed list replaces the file: an open reader of the old file still reads it whole.
	open, err := os.Open(w.source.File)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	w.give(w.list(2))
	w.fetched(t)
	var old bytes.Buffer
	if _, err := old.ReadFrom(open); err != nil || !bytes.Equal(old.Bytes(), inPEM(list)) {
		t.Errorf("the old file was written to: %v", err)
	}
}

// Covers I7.
func TestRejectedListsChangeNothing(t *testing.T) {
	w := newWorld(t)
	unknownCA, twin, second := testpki.NewCA("Other CA"), testpki.NewCA("Client CA"), testpki.NewCA("Second CA")
	below := w.ca.SubCA("Below")
	w.source.Anchors = append(w.source.Anchors, second.Cert)
	noSign := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "No CRLs"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1},
	})
	w.source.Anchors = append(w.source.Anchors, noSign.Cert)
	able := *noSign
	able.Cert = testpki.Make(nil, noSign.Key, &x509.Certificate{
		Subject: pkix.Name{CommonName: "No CRLs"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}).Cert
	plain := x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	named := func(name string) *x509.Certificate { c := plain; c.Subject.CommonName = name; return &c }
	unknown, alias := testpki.Make(nil, w.ca.Key, named("Unknown name")), testpki.Make(nil, w.ca.Key, named("Alias"))
	successor := testpki.Make(nil, testpki.NewKey(), named("Client CA"))
	w.source.Anchors = append(w.source.Anchors, alias.Cert, successor.Cert)
	tampered := w.list(9)
	tampered[len(tampered)-1] ^= 1
	scope, err := asn1.Marshal(struct {
		Users bool `asn1:"tag:1"`
	}{true})
	if err != nil {
		t.Fatal(err)
	}
	scoped := func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: scope}}
	}
	for _, row := range []struct {
		name string
		data []byte
		why  string
	}{
		{"an older number", w.list(4), "older than the one in the file"},
		{"an older number, newly dated", w.list(4, dated(-time.Minute, time.Hour)), "older than the one in the file"},
		{"the same number, older", w.list(5, dated(-2*time.Hour, time.Hour)), "older than the one in the file"},
		{"past its next update", w.list(6, dated(-2*time.Hour, -time.Second)), "past its next update"},
		{"from the future", w.list(6, dated(time.Hour, 2*time.Hour)), "not valid before"},
		{"altered", tampered, "no known authority signed it"},
		{"by a twin", twin.CRL(9, nil).Raw, "no known authority signed it"},
		{"by an unknown authority", unknownCA.CRL(9, nil).Raw, "no known authority signed the CRL"},
		{"by an unknown authority below", below.CRL(9, nil).Raw, "no known authority signed the CRL"},
		{"by an authority that must not sign lists", able.CRL(9, nil).Raw, "not signed by its key"},
		{"the list of another anchor", second.CRL(9, nil).Raw, "another issuer"},
		{"the anchor's key under a name of another anchor", alias.CRL(9, nil).Raw, "another issuer"},
		{"the anchor's key under an unknown name", unknown.CRL(9, nil).Raw, "which is another name"},
		{"the anchor's successor of the same name", successor.CRL(9, nil).Raw, "another issuer, key"},
		{"for other certificates", w.list(9, scoped), "another issuer, key or scope"},
		{"two in one", inPEM(w.list(6), w.list(7)), "2 CRLs"},
		{"garbage", []byte("<html>\x1b[31mno such file"), "PEM"},
		{"a certificate", w.ca.CertPEM(), "CERTIFICATE"},
		{"trailing bytes", append(w.list(6), 0), "after the CRL"},
		{"cut off", w.list(6)[:100], "cannot be read"},
		{"empty", nil, "empty"},
		{"version 1", version1(t, w.list(6)), "version 1"},
		{"signed with an algorithm that is not supported", bytes.ReplaceAll(w.list(6), []byte("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), []byte("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01")), "ECDSA-SHA224 (1.2.840.10045.4.3.1)"},
		{"critical extension", w.list(6, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), "unknown critical"},
		{"a delta", w.list(6, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		}), "delta"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.put(t, w.list(5))
			w.give(row.data)
			w.refused(t, row.why)
			if strings.Contains(row.why, "in the file") || strings.Contains(row.why, "scope") || strings.Contains(row.why, "another") {
				return // the error is about the file, not the list
			}
			if err := os.Remove(w.source.File); err != nil {
				t.Fatal(err)
			}
			w.refused(t, row.why)
		})
	}
}

func TestListOfAnAuthorityBelow(t *testing.T) {
	w := newWorld(t)
	below := w.ca.SubCA("Below")
	list := below.CRL(1, nil).Raw
	w.give(list)
	w.refused(t, "no known authority signed the CRL")
	w.source.Issuers = []*x509.Certificate{below.Cert}
	w.fetched(t)
	w.holds(t, list)
}

func TestFileThatIsThere(t *testing.T) {
	t.Run("damaged", func(t *testing.T) {
		w := newWorld(t)
		list := w.list(1)
		w.put(t, []byte("half a fi"))
		w.give(list)
		w.fetched(t)
		w.holds(t, list)
	})
	t.Run("several lists", func(t *testing.T) {
		w := newWorld(t)
		w.put(t, inPEM(w.list(1), testpki.NewCA("Other").CRL(1, nil).Raw))
		w.give(w.list(2))
		w.refused(t, "holds 2 CRLs")
	})
	t.Run("cannot be read", func(t *testing.T) {
		w := newWorld(t)
		if err := os.Mkdir(w.source.File, 0o700); err != nil {
			t.Fatal(err)
		}
		w.give(w.list(2))
		w.refused(t, "is a directory")
	})
	t.Run("cannot be opened", func(t *testing.T) {
		w := newWorld(t)
		w.put(t, w.list(1))
		w.give(w.list(2))
		s := w.source
		s.File = filepath.Join(s.File, "ca.crl")
		if err := w.fetcher.Fetch(t.Context(), s); err == nil || w.requests() != 0 {
			t.Errorf("%v after %d requests", err, w.requests())
		}
	})
	t.Run("no folder", func(t *testing.T) {
		w := newWorld(t)
		w.source.File = filepath.Join(filepath.Dir(w.source.File), "none", "ca.crl")
		w.give(w.list(2))
		if err := w.fetcher.Fetch(t.Context(), w.source); err == nil {
			t.Error("no error")
		}
	})
	t.Run("larger than the limit", func(t *testing.T) {
		w := newWorld(t)
		w.put(t, w.list(1))
		if err := os.Truncate(w.source.File, 10<<30); err != nil { // sparse
			t.Fatal(err)
		}
		if err := w.fetcher.Fetch(t.Context(), w.source); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestServersThatDoNotGiveAList(t *testing.T) {
	for _, row := range []struct {
		name  string
		serve http.HandlerFunc
		why   string
	}{
		{"404", func(rw http.ResponseWriter, r *http.Request) { http.NotFound(rw, r) }, "returned HTTP 404"},
		{"500", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }, "returned HTTP 500"},
		{"206", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(206) }, "returned HTTP 206"},
		{"304 to a request without a condition", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(304) }, "returned HTTP 304"},
		{"closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		{"cut off", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "5000")
			rw.Write([]byte{0x30}) // a test's server
		}, "EOF"},
		{"too large", func(rw http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 1<<20); ; {
				if _, err := rw.Write(block); err != nil {
					return
				}
			}
		}, "larger than 16 MiB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(t, w.list(1))
			w.use(row.serve)
			w.refused(t, row.why)
		})
	}
}

func TestSlowServer(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.use(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.fetcher.Fetch(ctx, w.source); err == nil {
		t.Error("no error")
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	var hits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer elsewhere.Close()
	w := newWorld(t)
	list := w.list(1)
	to := func(target func(r *http.Request) string) {
		w.use(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/new.crl" {
				rw.Write(list) // a test's server
				return
			}
			http.Redirect(rw, r, target(r), http.StatusFound)
		})
	}
	for name, target := range map[string]func(*http.Request) string{
		"another host":   func(*http.Request) string { return elsewhere.URL },
		"another name":   func(r *http.Request) string { return "http://localhost:" + strings.Split(r.Host, ":")[1] + "/new.crl" },
		"another scheme": func(r *http.Request) string { return "https://" + r.Host + "/new.crl" },
		"a file":         func(*http.Request) string { return "file:///etc/passwd" },
		"after a redirect": func(r *http.Request) string {
			if r.URL.Path == "/a" {
				return elsewhere.URL
			}
			return "/a"
		},
	} {
		t.Run(name, func(t *testing.T) { to(target); w.refused(t, "another host") })
	}
	to(func(r *http.Request) string { return r.URL.Path + "x" })
	before := w.requests()
	w.refused(t, "more than three redirects")
	if n := w.requests() - before; n > 4 {
		t.Errorf("%d redirects were followed", n)
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests to another host", hits.Load())
	}
	to(func(*http.Request) string { return "/new.crl" })
	w.fetched(t)
	w.holds(t, list)
}

// Covers B19.
func TestNoURLOfACertificateOrAListIsFollowed(t *testing.T) {
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	w := newWorld(t)
	w.ca = testpki.NewCA("Client CA", func(c *x509.Certificate) {
		c.OCSPServer, c.IssuingCertificateURL, c.CRLDistributionPoints = []string{canary.URL}, []string{canary.URL}, []string{canary.URL}
	})
	w.source.Anchors = []*x509.Certificate{w.ca.Cert}
	w.give(w.list(1, func(l *x509.RevocationList) {
		uri := asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(canary.URL)}
		raw, err := asn1.Marshal(uri)
		if err != nil {
			t.Fatal(err)
		}
		value, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: raw}})
		if err != nil {
			t.Fatal(err)
		}
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: value}} // freshest CRL
	}))
	w.fetched(t)
	w.use(func(rw http.ResponseWriter, r *http.Request) { http.NotFound(rw, r) })
	w.refused(t, "404")
	if hits.Load() != 0 {
		t.Errorf("%d requests to the URLs of the certificate", hits.Load())
	}
}

func TestCheck(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://host/ca.crl": true, "https://host:8443/ca.crl?x=1": true, "http://[::1]/": true,
		"": false, "host/ca.crl": false, "file:///etc/ca.crl": false, "ftp://host/": false, "http://": false,
		"http://:80/": false, "http://u@host/": false, "http://host/#x": false, "http:host": false, "http://host:x/": false,
	} {
		s := crlfetch.Source{URL: text, File: filepath.Join(t.TempDir(), "x")}
		if err := s.CheckURL(); (err == nil) != ok {
			t.Errorf("%q: got %v", text, err)
		}
		if ok {
			continue
		}
		if err := new(crlfetch.Fetcher).Fetch(t.Context(), s); err == nil || !strings.Contains(err.Error(), "cannot be fetched") {
			t.Errorf("%q: got %v, want cannot be fetched", text, err)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	w := newWorld(t)
	w.fetcher.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("hostile") })}
	w.refused(t, "panicked")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// version1 returns a list without its version.
func version1(t testing.TB, list []byte) []byte {
	t.Helper()
	var whole struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(list, &whole); err != nil {
		t.Fatal(err)
	}
	whole.TBS = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.TrimPrefix(whole.TBS.Bytes, []byte("\x02\x01\x01"))}
	return must(t)(asn1.Marshal(whole))
}
