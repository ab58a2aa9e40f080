package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Covers H18. Bytes that a client sends in place of the HTTP/2 preface never cause a line of level
// ERROR, whichever of net/http's own lines they look like; and a thousand such clients do not cause
// a thousand lines.
func TestBytesOfAClientNeverLogAnError(t *testing.T) {
	t.Parallel()
	greetings := []string{
		"http: panic serving 1: x", "http2: panic serving 1:x", "\nhttp: panic serving 1 x", "\r\nhttp: panic serving 1x",
		"panic serving 1.2.3.4: x", "\x00http2: panic serving x", "http: TLS handshake error", "http: Accept error: x; x",
		"http2: received GOAWAY x", "http2: server: error rea", "http2: server connection", "timeout waiting for SETT",
		"ignoring invalid trailer", "http: response.WriteHead", "\x1b[31mhttp: panic servin\x1b", "\"\nhttp: panic serving \"\n",
	}
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	greet := func(text string) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(l.url("internal", ""), "https://"), &tls.Config{RootCAs: s.serve.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}, Certificates: []tls.Certificate{s.alice.TLS()}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, (text + strings.Repeat(".", 24))[:24])
		c.SetReadDeadline(time.Now().Add(testkit.Patience))
		io.Copy(io.Discard, c)
	}
	for _, text := range greetings {
		greet(text)
	}
	testkit.Eventually(t, "a line for each", func() bool { return len(l.log.find("msg", "net/http", "error", "bogus greeting")) >= len(greetings) })
	for _, line := range l.log.find("error", "panic serving") {
		if line["level"] != "DEBUG" {
			t.Errorf("a client wrote a line of the level %v: %v", line["level"], line["error"])
		}
	}
	for _, line := range l.log.find("msg", "net/http") {
		if text := fmt.Sprint(line["error"]); strings.ContainsAny(text, "\r\n\x00\x1b") || len(text) > 1100 {
			t.Errorf("not escaped, or too long: %q", text)
		}
	}
}

// Covers H18. Lines of net/http that a client causes are sampled, and a panic among
// them is still logged.
func TestLinesOfNetHTTPAreSampled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a defect " + strings.Repeat("\x1b\n", 3000)) })
	l := s.start(mtlsguard.Options{})
	client := s.client(s.alice, testkit.HTTP2)
	start := time.Now()
	const panics = 300
	for range panics {
		get(client, l.url("internal", "/whoami"))
	}
	most := 100 * (int(time.Since(start).Seconds()) + 2)
	testkit.Eventually(t, "a panic is logged", func() bool { return len(l.log.find("level", "ERROR", "error", "a defect")) > 0 })
	found := l.log.find("level", "ERROR", "error", "a defect")
	if len(found) > most {
		t.Errorf("%d lines of %d panics, at most %d are expected", len(found), panics, most)
	}
	for _, line := range found {
		if text := fmt.Sprint(line["error"]); strings.ContainsAny(text, "\n\x1b") || len(text) > 17<<10 {
			t.Fatalf("not escaped, or too long: %d bytes, %.100q", len(text), text)
		}
	}
}
