package acme

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"github.com/mtlsguard/mtlsguard"
)

// serveWithACME is the example of docs/certificates.md.
func serveWithACME(ctx context.Context) error {
	magic := certmagic.NewDefault()
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{
		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": magic.GetCertificate},
		Ready: func() { // the port is open and answers the challenge
			if err := magic.ManageAsync(ctx, []string{"orders.acme.example"}); err != nil {
				slog.Error("certmagic", "error", err)
			}
		},
	})
	if err != nil {
		return err
	}
	return server.Serve(ctx, http.DefaultServeMux)
}

// The page's lines are those of the example, which compiles.
func TestPageShowsTheExample(t *testing.T) {
	_ = serveWithACME
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	code := read("example_test.go")
	_, page, _ := strings.Cut(read("../../docs/certificates.md"), "\n## ACME in the program\n")
	_, text, _ := strings.Cut(page, "```go\n")
	text, _, _ = strings.Cut(text, "```")
	lines := 0
	for line := range strings.Lines(text) {
		lines++
		if line = strings.TrimSpace(line); !strings.Contains(code, line) {
			t.Errorf("the example has no line %s", line)
		}
	}
	if lines < 5 {
		t.Errorf("only %d lines were compared", lines)
	}
}
