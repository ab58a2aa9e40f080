package testkit_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The zero clock is the real one; a test moves it both ways.
func TestClockMoves(t *testing.T) {
	t.Parallel()
	var c testkit.Clock
	if off := time.Since(c.Now()).Abs(); off > time.Second {
		t.Errorf("the zero clock is off by %v", off)
	}
	c.Advance(time.Hour)
	c.Advance(-time.Minute)
	if ahead := time.Until(c.Now()); ahead < 58*time.Minute || ahead > time.Hour {
		t.Errorf("ahead by %v", ahead)
	}
	day := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	c.Set(day)
	if off := c.Now().Sub(day).Abs(); off > time.Second {
		t.Errorf("set to %v, it is %v", day, c.Now())
	}
}

// A clock that is set back shows an earlier time, and the same time has passed.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	back := testkit.SetBack(now, time.Hour)
	if got := back.Round(0).Sub(now.Round(0)); got != -time.Hour {
		t.Errorf("it shows a time %v later, want -1h", got)
	}
	if got := back.Sub(now); got != 0 {
		t.Errorf("%v have passed, want 0", got)
	}
}

// Eventually returns at once when the condition holds.
func TestEventuallyReturns(t *testing.T) {
	t.Parallel()
	calls := 0
	testkit.Eventually(t, "three calls", func() bool { calls++; return calls == 3 })
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

// A client sends its certificate to a server that names other authorities.
func TestClientSendsItsCertificate(t *testing.T) {
	t.Parallel()
	ca, serverCA := testpki.NewCA("Client CA"), testpki.NewCA("Server CA")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			w.Header().Set("Name", r.TLS.PeerCertificates[0].Subject.CommonName)
		}
		w.Header().Set("Proto", r.Proto)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serverCA.Server().TLS()}, ClientAuth: tls.RequestClientCert, ClientCAs: serverCA.Pool()}
	server.StartTLS()
	defer server.Close()
	for _, row := range []struct {
		name, proto string
		holder      *testpki.Pair
		options     []testkit.ClientOption
	}{
		{"alice", "HTTP/1.1", ca.Leaf("alice"), nil},
		{"alice", "HTTP/2.0", ca.Leaf("alice"), []testkit.ClientOption{testkit.HTTP2}},
		{"alice", "HTTP/1.1", ca.Leaf("alice"), []testkit.ClientOption{testkit.TLS12, testkit.Resuming}},
		{"", "HTTP/1.1", nil, nil},
	} {
		res, err := testkit.Client(t, serverCA.Pool(), row.holder, row.options...).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if name, proto := res.Header.Get("Name"), res.Header.Get("Proto"); name != row.name || proto != row.proto {
			t.Errorf("%q by %s, want %q by %s", name, proto, row.name, row.proto)
		}
	}
}

// The shared RSA keys have the size that their name says.
func TestRSAKeysHaveTheirSize(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{1024, 2048, 8192} {
		if key := testkit.RSAKey(t, bits); key.N.BitLen() != bits {
			t.Errorf("%d bits, want %d", key.N.BitLen(), bits)
		}
	}
}

// No two tests get the same address, as long as both run, and an address is free at once, also while
// the process starts others.
func TestFreeAddressesDiffer(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	defer starting.Wait()
	defer end()
	starting.Go(func() {
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, os.Args[0], "-test.run=^$").Run() // an error: the test is over
		}
	})
	seen := map[string]bool{}
	for range 300 { // of 20,000: by chance alone, two would be the same nearly always
		address := testkit.FreeAddress(t)
		if seen[address] {
			t.Fatalf("%s twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
