package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// callers call a port until stop, each request on a connection of its own. Every request must be
// answered.
func (l *live) callers(n int) (stop func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var calls atomic.Int64
	url := l.url("internal", "/whoami")
	for range n {
		c := l.client(l.alice, testkit.Resuming)
		all.Go(func() {
			for ctx.Err() == nil {
				res, err := c.Get(url)
				if err != nil {
					l.Errorf("during a renewal: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					l.Errorf("during a renewal: %s", res.Status)
				}
				calls.Add(1)
				time.Sleep(25 * time.Millisecond) // the files are what is tested, not the speed
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		if calls.Load() == 0 {
			l.Error("no request was made")
		}
	}
}

// presents waits until the port presents a certificate.
func (l *live) presents(what string, p *testpki.Pair) {
	l.Helper()
	c := l.client(l.alice, func(t *http.Transport) { t.DisableKeepAlives = true }) // otherwise connections_per_ip ends it
	testkit.Eventually(l.TB, what, func() bool {
		res, err := c.Get(l.url("internal", "/whoami"))
		if err != nil {
			l.Fatal(err)
		}
		res.Body.Close()
		return slices.Equal(res.TLS.PeerCertificates[0].Raw, p.Cert.Raw)
	})
}

// noFailure checks that the log has no failed reload.
func (l *live) noFailure() {
	l.Helper()
	if failed := l.log.find("event", "reload", "outcome", "failed"); len(failed) > 0 {
		l.Errorf("a renewal is logged as a failure: %v", failed)
	}
}

func writeFile(tb testing.TB, name string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// cert-manager renews a secret, and kubelet swaps the mounted folder: certificate, key and the
// callers' CA take effect at once, no request fails, and a caller of the new CA gets in.
// Covers I3.
func TestSecretOfCertManagerIsRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	s.sub(config, "certificate: {cert: server.pem, key: server-key.pem}", "certificate: {cert: tls/tls.crt, key: tls/tls.key}")
	s.sub(config, "anchors: [ca.pem]\n      crls: [ca.crl]", "anchors: [tls/ca.crt]")
	mount := s.path("tls")
	mounted := 0
	swap := func(server *testpki.Pair, authorities ...*testpki.Pair) {
		t.Helper()
		mounted++
		folder := fmt.Sprintf("..2026_%d", mounted)
		var bundle []byte
		for _, ca := range authorities {
			bundle = append(bundle, ca.CertPEM()...)
		}
		if err := os.MkdirAll(filepath.Join(mount, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"tls.crt": server.CertPEM(), "tls.key": server.KeyPEM(), "ca.crt": bundle} {
			writeFile(t, filepath.Join(mount, folder, name), data)
		}
		temporary := filepath.Join(mount, "..data_tmp")
		if err := os.Symlink(folder, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(mount, fmt.Sprintf("..2026_%d", mounted-1)))
	}
	first := s.serve.Server()
	swap(first, s.ca)
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := s.start(mtlsguard.Options{})
	l.presents("the first certificate", first)
	stop := l.callers(2)
	for n := range 2 {
		next := s.serve.Server()
		swap(next, s.ca)
		l.presents(fmt.Sprintf("renewal %d", n+1), next)
	}
	fresh := s.other.Leaf("carol")
	if got := get(s.client(fresh), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("a caller of another CA: %s, want refused", got)
	}
	next := s.serve.Server()
	swap(next, s.ca, s.other)
	l.presents("with two CAs", next)
	testkit.Eventually(t, "a caller of the new CA", func() bool {
		return get(s.client(fresh, testkit.Resuming), l.url("internal", "/whoami")) == "403 unmapped"
	})
	stop()
	l.noFailure()
}

// spiffe-helper writes the SVID, its key and the bundle in place, one after the other: half a file
// and half a pair have no effect, and no request fails.
// Covers B17, I3.
func TestFilesOfSPIFFEHelperAreRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	s.sub(config, "certificate: {cert: server.pem, key: server-key.pem}", "certificate: {cert: svid.pem, key: svid_key.pem}")
	s.sub(config, "      crls: [ca.crl]\n", "      trust_domains: [{name: acme.example, anchors: [svid_bundle.pem]}]\n")
	s.put("users.yaml", siteUsers+"  - {id: orders, user: orders, uri: \"spiffe://acme.example/orders\", issuer: \"spiffe://acme.example\"}\n")
	authority := testpki.NewCA("acme.example")
	// write writes a file as spiffe-helper does, but waits in the middle of it.
	write := func(name string, data []byte) {
		t.Helper()
		f, err := os.OpenFile(s.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
			if _, err := f.Write(part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(60 * time.Millisecond) // a look of the watcher falls into it
		}
	}
	renew := func(bundle ...*testpki.Pair) *testpki.Pair {
		t.Helper()
		next := s.serve.Server(spiffeID("acme.example", "/gateway"))
		var all []byte
		for _, ca := range bundle {
			all = append(all, ca.CertPEM()...)
		}
		write("svid.pem", next.CertPEM())
		write("svid_key.pem", next.KeyPEM())
		write("svid_bundle.pem", all)
		return next
	}
	first := renew(authority)
	l := s.start(mtlsguard.Options{})
	l.presents("the first SVID", first)
	orders := s.client(authority.Leaf("x", spiffeID("acme.example", "/orders")), testkit.Resuming)
	if got := get(orders, l.url("internal", "/whoami")); got != "200 orders" {
		t.Error(got)
	}
	stop := l.callers(2)
	l.presents("the second SVID", renew(authority))
	rotated := testpki.NewCA("acme.example, next")
	next := s.client(rotated.Leaf("x", spiffeID("acme.example", "/orders")), testkit.Resuming)
	l.presents("the next authority", renew(authority, rotated))
	l.waitFor("a caller of the next authority", func() string { return get(next, l.url("internal", "/whoami")) }, "200 orders")
	l.presents("without the old authority", renew(rotated))
	l.waitFor("a caller of the old authority", func() string { return get(orders, l.url("internal", "/whoami")) }, "refused")
	stop()
}

// certbot writes new files into archive/ and sets the links of live/ one after the other: each is
// removed first. No request fails.
// Covers I3.
func TestFilesOfCertbotAreRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	s.sub(config, "certificate: {cert: server.pem, key: server-key.pem}", "certificate: {cert: letsencrypt/live/orders/fullchain.pem, key: letsencrypt/live/orders/privkey.pem}")
	live, archive := s.path("letsencrypt/live/orders"), s.path("letsencrypt/archive/orders")
	for _, folder := range []string{live, archive} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	issuing := s.serve.SubCA("Issuing CA")
	version := 0
	renew := func() *testpki.Pair {
		t.Helper()
		version++
		next := issuing.Server()
		leaf := (&testpki.Pair{Cert: next.Cert}).CertPEM()
		files := map[string][]byte{"cert": leaf, "privkey": next.KeyPEM(), "chain": bytes.TrimPrefix(next.CertPEM(), leaf), "fullchain": next.CertPEM()}
		kinds := []string{"cert", "privkey", "chain", "fullchain"}
		for _, kind := range kinds {
			writeFile(t, filepath.Join(archive, fmt.Sprintf("%s%d.pem", kind, version)), files[kind])
		}
		for _, kind := range kinds {
			link := filepath.Join(live, kind+".pem")
			if err := os.Remove(link); err != nil && version > 1 {
				t.Fatal(err)
			}
			time.Sleep(60 * time.Millisecond) // a look of the watcher falls into it
			if err := os.Symlink(filepath.Join("../../archive/orders", fmt.Sprintf("%s%d.pem", kind, version)), link); err != nil {
				t.Fatal(err)
			}
		}
		return next
	}
	first := renew()
	l := s.start(mtlsguard.Options{})
	l.presents("the first certificate", first)
	stop := l.callers(2)
	for n := range 2 {
		l.presents(fmt.Sprintf("renewal %d", n+1), renew())
	}
	stop()
	res, err := s.client(s.alice).Get(l.url("internal", "/whoami"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if n := len(res.TLS.PeerCertificates); n != 2 {
		t.Errorf("the port presents %d certificates: fullchain.pem has the issuer", n)
	}
	if l.server.Status().Degraded != nil {
		t.Errorf("degraded: %v, want in order", l.server.Status().Degraded)
	}
}
