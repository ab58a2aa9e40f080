package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
)

// A node starts from the store and follows it. It refuses a wrong generation, with the refusal in
// its status, its report and its log. A restart without the store serves the last good generation.
func TestNodeFollowsItsFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit()
	l := f.start()
	alice := f.client(f.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	l.waitFor("the first generation", answer, "200 alice")
	f.commit("users.yaml", usersFor("alicia"))
	l.waitFor("the second generation", answer, "200 alicia")
	status := l.server.Status().Source
	if status == nil || status.Number != 2 || status.Fleet != fleetName || status.Author != "anna" || !status.Connected || status.Error != "" || status.Heard.IsZero() {
		t.Errorf("status: %+v", status)
	}
	testkit.Eventually(t, "the log to have the generation", func() bool {
		return len(l.log.find("event", "reload", "outcome", "ok", "fleet", fleetName, "author", "anna")) > 0
	})

	f.commit("policy.csv", "p, group:Everybody\n")
	testkit.Eventually(t, "generation 3 to be refused", func() bool { return l.server.Status().Source.Refused == 3 })
	status = l.server.Status().Source
	if len(status.RefusedErrors) == 0 || !strings.HasSuffix(status.RefusedErrors[0].File, "fleet/policy.csv") || status.RefusedErrors[0].Line != 1 {
		t.Errorf("status: %+v", status)
	}
	if got := answer(); got != "200 alicia" {
		t.Errorf("after a bad generation: %s, want 200 alicia", got)
	}
	if s := l.server.Status(); !s.Ready() || s.Source.Number != 2 {
		t.Errorf("after a bad generation: %+v", s)
	}
	testkit.Eventually(t, "the refusal to be reported and logged", func() bool {
		reports, err := f.store.Reports(context.Background())
		return err == nil && len(reports) == 1 && reports[0].Node == "node-1" && reports[0].Number == 2 && reports[0].Refused == 3 &&
			strings.HasPrefix(reports[0].Errors[0], "fleet/policy.csv:1: ") && len(l.log.find("event", "reload", "outcome", "failed", "error", "fleet/policy.csv:1")) > 0
	})
	if _, err := os.Stat(f.path("keep/refused/000003.json")); err != nil {
		t.Error(err)
	}
	f.store.Break(errors.New("the cable is cut"))
	testkit.Eventually(t, "the outage to be seen", func() bool { return !l.server.Status().Source.Connected })
	if s := l.server.Status(); !s.Ready() || !strings.Contains(s.Source.Error, "the cable is cut") {
		t.Errorf("during an outage: %+v", s)
	}
	l.end()

	l = f.start()
	if got := answer(); got != "200 alicia" {
		t.Errorf("after a restart without the store: %s, want 200 alicia", got)
	}
	f.store.Break(nil)
	f.commit("users.yaml", usersFor("alicia"))
	testkit.Eventually(t, "generation 4, and the end of the outage", func() bool {
		s := l.server.Status().Source
		return s.Number == 4 && s.Error == ""
	})
	if s := l.server.Status().Source; s.Refused != 0 {
		t.Errorf("after a good generation: %+v", s)
	}
	if _, err := os.Stat(f.path("keep/refused/000003.json")); err == nil {
		t.Error("the refused generation is still on record")
	}
}

// A change on the node makes it try a refused generation again.
func TestRefusedGenerationIsTriedAfterAChangeOnTheNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sub("mtlsguard.yaml", "reload: 0", "reload: 50ms")
	f.commit()
	l := f.start()
	f.commit("policy.csv", sitePolicy+"p, user:alice, partners, GET, /whoami, allow\n") // this node has no such port
	testkit.Eventually(t, "generation 2 to be refused", func() bool { return l.server.Status().Source.Refused == 2 })
	f.sub("mtlsguard.yaml", "poll: 1s", "poll: 2s")
	before := l.server.Status().Generation
	testkit.Eventually(t, "the change on the node", func() bool { return l.server.Status().Generation > before })
	if s := l.server.Status().Source; s.Number != 1 {
		t.Errorf("generation %d is in effect", s.Number)
	}
	g := f.next(f.newest, source.Manifest{Ports: []string{"partners"}}, "policy.csv", sitePolicy+"p, user:alice, partners, GET, /whoami, allow\n")
	if err := f.store.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "generation 3, whose manifest names the port", func() bool { return l.server.Status().Source.Number == 3 })
}

// For a node with a generation, an empty store, such as a folder that is not mounted, counts as one
// that does not answer: the log and max_age report it. Covers S10.
func TestEmptiedStoreIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sub("mtlsguard.yaml", "poll: 1s", "poll: 1s, max_age: 1h")
	f.commit()
	var clock testkit.Clock
	l := f.site.start(mtlsguard.Options{Source: f.store, Now: clock.Now})
	f.store.Break(source.ErrNone)
	testkit.Eventually(t, "the store to be taken for silent", func() bool { return !l.server.Status().Source.Connected })
	clock.Advance(2 * time.Hour)
	testkit.Eventually(t, "the server to be degraded", func() bool { return len(l.server.Status().Degraded) > 0 })
	const want = "there is no generation in it, and generation 1 of fleet \"orders\" is in effect"
	testkit.Eventually(t, "the outage is logged", func() bool { return len(l.log.find("error", want)) == 1 })
	if s := l.server.Status(); !s.Ready() || s.Source.Number != 1 || s.Source.Error != want {
		t.Errorf("status: %+v", s.Source)
	}
	f.store.Break(nil)
	testkit.Eventually(t, "the server to be in order", func() bool { return len(l.server.Status().Degraded) == 0 })
}

// The client certificate for the web server of a fleet is renewed without a restart: with the old
// one a node would get no generation after it expires. Covers S16.
func TestCertificateForTheStoreIsRenewed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	folder := t.TempDir()
	store := source.Folder(folder)
	var serial atomic.Pointer[big.Int]
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serial.Store(r.TLS.PeerCertificates[0].SerialNumber)
		http.FileServer(http.Dir(folder)).ServeHTTP(w, r)
	}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{f.serve.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: f.ca.Pool()}
	web.Config.SetKeepAlivesEnabled(false)
	web.StartTLS()
	t.Cleanup(web.Close)
	put := func(name string) *testpki.Pair {
		node := f.ca.Leaf(name)
		f.put("node-key.pem", string(node.KeyPEM()))
		f.put("node.pem", string(node.CertPEM()))
		return node
	}
	first := put("node-1")
	f.put("store-ca.pem", string(f.serve.CertPEM()))
	f.sub("mtlsguard.yaml", "node: node-1", "url: "+web.URL+", anchors: [store-ca.pem], certificate: {cert: node.pem, key: node-key.pem}")
	one := f.next(nil, source.Manifest{})
	if err := store.Commit(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	l := f.site.start(mtlsguard.Options{})
	if serial.Load().Cmp(first.Cert.SerialNumber) != 0 {
		t.Errorf("serial %v at the start", serial.Load())
	}
	f.put("node-key.pem", "") // in the middle of a renewal the last pair is presented
	if err := store.Commit(t.Context(), f.next(one, source.Manifest{})); err != nil {
		t.Fatal(err)
	}
	f.waitForNumber(l, 2)
	second := put("node-1")
	testkit.Eventually(t, "the renewed certificate", func() bool { return serial.Load().Cmp(second.Cert.SerialNumber) == 0 })
}

// The anchors of the web server are reloaded like other files: a connection under an authority that is
// not trusted any more is not used, and a new authority needs no restart.
func TestAnchorsOfTheStoreAreReloaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	folder := t.TempDir()
	store := source.Folder(folder)
	web := httptest.NewUnstartedServer(http.FileServer(http.Dir(folder)))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{f.serve.Server().TLS()}}
	web.StartTLS()
	t.Cleanup(web.Close)
	f.put("store-ca.pem", string(f.serve.CertPEM()))
	f.sub("mtlsguard.yaml", "node: node-1", "url: "+web.URL+", anchors: [store-ca.pem]")
	f.sub("mtlsguard.yaml", "reload: 0", "reload: 1s")
	one := f.next(nil, source.Manifest{})
	if err := store.Commit(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	l := f.site.start(mtlsguard.Options{})
	f.put("store-ca.pem", string(f.ca.CertPEM()))
	testkit.Eventually(t, "the web server not to be trusted", func() bool {
		s := l.server.Status().Source
		return !s.Connected && strings.Contains(s.Error, "certificate signed by unknown authority")
	})
	if err := store.Commit(t.Context(), f.next(one, source.Manifest{})); err != nil {
		t.Fatal(err)
	}
	f.put("store-ca.pem", "")
	testkit.Eventually(t, "a file without a certificate to be reported", func() bool { return len(l.server.Status().Failed) > 0 })
	f.put("store-ca.pem", string(f.ca.CertPEM())+string(f.serve.CertPEM()))
	f.waitForNumber(l, 2)
}

// With max_age a server whose source is silent is degraded, and ready. Without it only the
// status of the source reports it.
func TestSilentSourceDegrades(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		maxAge string
		want   bool
	}{{"1h", true}, {"0", false}} {
		f := newFleet(t)
		f.sub("mtlsguard.yaml", "poll: 1s", "poll: 1s, max_age: "+x.maxAge)
		f.commit()
		var clock testkit.Clock
		l := f.site.start(mtlsguard.Options{Source: f.store, Now: clock.Now})
		f.store.Break(errDown)
		clock.Advance(2 * time.Hour)
		if x.want {
			testkit.Eventually(t, "the server to be degraded", func() bool {
				return slices.ContainsFunc(l.server.Status().Degraded, func(s string) bool { return strings.Contains(s, "the source has not answered for max_age, 1h") })
			})
		}
		s := l.server.Status()
		if !s.Ready() || !x.want && len(s.Degraded) > 0 {
			t.Errorf("max_age %s: %+v", x.maxAge, s)
		}
		f.store.Break(nil)
		testkit.Eventually(t, "the server to be in order", func() bool { return len(l.server.Status().Degraded) == 0 })
	}
}
