package browsertest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// files returns the files of a test certificate and its key.
func (s *site) files(name string) (certificate, key string) {
	return filepath.Join(pkiFolder, name+".pem"), filepath.Join(pkiFolder, name+"-key.pem")
}

// pair returns a test certificate with its key.
func (s *site) pair(name string) *testpki.Pair {
	s.Helper()
	certificate, key := s.files(name)
	out, err := testpki.Load(certificate, key)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// call sends a request to a port. It returns the status, or 0 if the handshake was refused.
func (s *site) call(holder *testpki.Pair, method, port, target string) int {
	s.Helper()
	r, err := http.NewRequest(method, "https://"+s.addr[port]+"/", nil)
	if err != nil {
		s.Fatal(err)
	}
	r.URL.Opaque = target // as it is, without an escape
	res, err := testkit.Client(s, s.roots, holder).Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// get reads the JSON of a path of the page, as alice.
func (s *site) get(path string, out any) {
	s.Helper()
	res, err := testkit.Client(s, s.roots, s.pair("alice")).Get(s.origin() + path)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != http.StatusOK {
		s.Fatalf("%s: got %s: %v", path, res.Status, err)
	}
}

// expect is call with the status that it must have.
func (s *site) expect(status int, holder *testpki.Pair, method, port, target string) {
	s.Helper()
	if got := s.call(holder, method, port, target); got != status {
		s.Errorf("%s %s on port %s: %d, want %d", method, target, port, got, status)
	}
}

// populate makes requests of every kind, so that no screen is empty.
func (s *site) populate() {
	s.Helper()
	s.expect(200, s.pair("alice"), "GET", "internal", "/orders/7")
	s.expect(200, s.pair("orders"), "GET", "internal", "/orders/7")
	for i := range 3 {
		s.expect(403, s.pair("mallory"), "POST", "internal", fmt.Sprintf("/orders/%d", i))
	}
	s.expect(403, s.pair("bob"), "GET", "internal", "/orders/7")
	s.expect(403, s.pair("stranger"), "GET", "internal", "/orders/7")
	s.expect(400, s.pair("alice"), "GET", "internal", "/orders//7")
	s.expect(403, nil, "GET", "public", "/orders/7")
	for _, name := range []string{"expired", "untrusted", "revoked", "server-eku", "many-attributes"} {
		s.expect(0, s.pair(name), "GET", "internal", "/orders/7")
	}
}
