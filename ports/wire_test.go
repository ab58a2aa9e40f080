package ports_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// plain sends bytes without TLS and returns the whole answer.
func plain(t *testing.T, p *ports.Port, text string) (string, net.Addr) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the port does not close the connection")
	}
	return string(answer), c.LocalAddr()
}

// Covers A12.
func TestPlainHTTPIsNotServed(t *testing.T) {
	t.Parallel()
	for _, mode := range []ports.ClientAuth{ports.None, ports.Require} {
		c, e := config(t, mode)
		p := serving(t, c)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			answer, from := plain(t, p, method+" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.0 400 ") || strings.Contains(answer, mode.String()+" ") {
				t.Errorf("%s without TLS: %q", method, answer)
			}
			if h := e.of(t, from); h.Err == nil || h.Reason != "" {
				t.Errorf("event %+v", h)
			}
		}
		for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 9), "\x00\x00\x00\x00\x00", "SSH-2.0-x\r\n"} {
			answer, _ := plain(t, p, text)
			if strings.Contains(answer, "HTTP") {
				t.Errorf("%q is answered with %q", text, answer)
			}
		}
		// An upgrade to h2c inside TLS is ignored.
		body, own, err := dialAndGet(t, p, clientConfig(alice, h1))
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequest("GET", "https://localhost/", nil)
		r.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}}
		answer, err := own.http.Do(r)
		if err != nil || answer.StatusCode != 200 || answer.ProtoMajor != 1 {
			t.Errorf("Upgrade: h2c gives %v, %v (%s)", answer, err, body)
		}
	}
}

// Covers A12.
func TestPlainHTTP2IsNotServed(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	c, _ := config(t, ports.None)
	p := serving(t, c)
	out, err := exec.Command("curl", "-s", "-m", "5", "--http2-prior-knowledge", "http://"+p.Addr().String()+"/").CombinedOutput()
	if err == nil {
		t.Errorf("served: %q", out)
	}
}

// splitting splits each record of the first flight into many, each in its own TCP segment.
type splitting struct {
	net.Conn
	size  int
	first bool
}

func (s *splitting) Write(b []byte) (int, error) {
	if s.first {
		return s.Conn.Write(b)
	}
	s.first = true
	for rest := b; len(rest) >= 5; {
		n := int(binary.BigEndian.Uint16(rest[3:]))
		header, body := rest[:3], rest[5:5+n]
		rest = rest[5+n:]
		for len(body) > 0 {
			part := body[:min(s.size, len(body))]
			body = body[len(part):]
			record := append(bytes.Clone(header), 0, byte(len(part)))
			if _, err := s.Conn.Write(append(record, part...)); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

// Covers A13.
func TestClientHelloInManyRecords(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	for _, size := range []int{1, 3, 16} {
		for _, holder := range []*testpki.Pair{alice, nil} {
			raw, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			body := ""
			own, err := over(&splitting{Conn: raw, size: size}, clientConfig(holder))
			if err == nil {
				body, _, err = own.get("/")
			}
			h := e.of(t, raw.LocalAddr())
			if holder == nil && (err == nil || h.Reason != reason.NoCertificate) {
				t.Errorf("%d bytes, no certificate: %q, %q, %v", size, body, h.Reason, err)
			}
			if holder != nil && (err != nil || body != "require alice HTTP/2.0" || h.ServerName != "localhost") {
				t.Errorf("%d bytes: %q, %v", size, body, err)
			}
		}
	}
}

// files writes a pair to files that openssl can read.
func files(t *testing.T, p *testpki.Pair) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, data := range map[string][]byte{cert: p.CertPEM(), key: p.KeyPEM()} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Covers A18.
func TestRenegotiationIsRefused(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	c, e := config(t, ports.Require)
	p := serving(t, c)
	cert, key := files(t, alice)
	cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", p.Addr().String(), "-tls1_2", "-cert", cert, "-key", key)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the handshake ends", func() bool {
		_, ok := e.find(func(h ports.Handshake) bool { return h.Err == nil && len(h.Presented) > 0 })
		return ok
	})
	// R makes openssl request another handshake; its input stays open.
	io.WriteString(in, "R\n")
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Fatal("the connection is still open")
	}
	if !strings.Contains(out.String(), "RENEGOTIATING") {
		t.Fatalf("openssl did not request a renegotiation: %s", &out)
	}
	if n := strings.Count(out.String(), "Acceptable client certificate CA names"); n > 1 {
		t.Error("a second handshake was made")
	}
}

// Covers A21.
func TestHideAuthoritiesHidesTheNames(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	for _, hide := range []bool{false, true} {
		c, _ := config(t, ports.Request)
		c.HideAuthorities = hide
		p := serving(t, c)
		out, _ := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", p.Addr().String()).CombinedOutput() // without input it exits
		if got := strings.Contains(string(out), "Client CA"); got == hide {
			t.Errorf("HideAuthorities %v: %s", hide, out)
		}
	}
}

// Covers A22.
func TestOldTLSIsNotServed(t *testing.T) {
	t.Setenv("GODEBUG", "tls10server=1")
	c, e := config(t, ports.None)
	p := serving(t, c)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		own, err := dial(t, p, clientConfig(nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }))
		if err == nil {
			t.Errorf("%s is served", tls.VersionName(version))
		}
		if h := e.of(t, own.local); h.Err == nil || h.Reason != "" {
			t.Errorf("event %+v", h)
		}
	}
	c13, _ := config(t, ports.None)
	c13.MinVersion = tls.VersionTLS13
	if _, err := dial(t, serving(t, c13), clientConfig(nil, tls12)); err == nil {
		t.Error("TLS 1.2 is served by a port of TLS 1.3")
	}
}

// An error of the server's own certificate has no reason of a client certificate.
func TestMissingServerCertificateHasNoReason(t *testing.T) {
	t.Parallel()
	for _, o := range []tlsOption{h1, tls12} {
		c, e := config(t, ports.Require)
		c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none for this name") }
		p := serving(t, c)
		own, err := dial(t, p, clientConfig(alice, o))
		if err == nil {
			t.Fatal("a handshake without a certificate")
		}
		if h := e.of(t, own.local); h.Reason != "" || h.Err == nil {
			t.Errorf("event %q, %v", h.Reason, h.Err)
		}
	}
}

// A handshake without a common cipher suite has no reason of a client certificate either.
func TestMissingCommonCipherHasNoReason(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require) // an ECDSA certificate
	p := serving(t, c)
	own, err := dial(t, p, clientConfig(alice, tls12, func(c *tls.Config) {
		c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}))
	if err == nil {
		t.Fatal("a handshake")
	}
	if h := e.of(t, own.local); h.Reason != "" || h.Err == nil {
		t.Errorf("event %q, %v", h.Reason, h.Err)
	}
}

// A client that does not trust the server closes the connection: the port refused no client.
func TestClientThatRefusesThePortHasNoReason(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	own, err := dial(t, p, clientConfig(alice, func(c *tls.Config) { c.RootCAs = otherCA.Pool() }))
	if err == nil {
		t.Fatal("a handshake")
	}
	if h := e.of(t, own.local); h.Reason != "" || h.Err == nil {
		t.Errorf("event %q, %v", h.Reason, h.Err)
	}
}

// Covers H7.
func TestStreamLimitIsAnnounced(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Streams = 3
	p := serving(t, c)
	own, err := dial(t, p, clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	own.SetDeadline(time.Now().Add(patience))
	io.WriteString(own, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	var header [9]byte
	if _, err := io.ReadFull(own, header[:]); err != nil || header[3] != 4 {
		t.Fatalf("no SETTINGS: % x, %v", header, err)
	}
	settings := make([]byte, int(header[1])<<8|int(header[2]))
	if _, err := io.ReadFull(own, settings); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint("none in ", settings)
	for s := settings; len(s) >= 6; s = s[6:] {
		if binary.BigEndian.Uint16(s) == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
			got = fmt.Sprint(binary.BigEndian.Uint32(s[2:]))
		}
	}
	if got != "3" {
		t.Errorf("streams: %s, want 3", got)
	}
}
