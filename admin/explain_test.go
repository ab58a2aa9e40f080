package admin_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// The page explains a request by certificate, by user or without a certificate, and names what is
// wrong with the input.
// Covers W6, W7.
func TestPageExplainsRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	pemOf := func(name string) string {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, row := range []struct {
		name    string
		body    map[string]any
		status  int
		allowed bool
		reason  string
		detail  string
	}{
		{"a certificate", map[string]any{"port": "internal", "path": "/orders/7", "certificate_pem": pemOf("alice.pem")}, 200, true, "", ""},
		{"a certificate without a rule", map[string]any{"port": "internal", "path": "/orders/7", "certificate_pem": pemOf("bob.pem")}, 200, false, "no-rule", ""},
		{"an expired certificate", map[string]any{"port": "internal", "certificate_pem": pemOf("expired.pem")}, 200, false, "expired", ""},
		{"no certificate", map[string]any{"port": "internal"}, 200, false, "no-certificate", ""},
		{"a user", map[string]any{"port": "internal", "user": "alice", "path": "/orders/7?all=1"}, 200, true, "", ""},
		{"a user without a rule", map[string]any{"port": "internal", "user": "bob", "path": "/orders/7"}, 200, false, "no-rule", ""},
		{"a user and a certificate", map[string]any{"port": "internal", "user": "bob", "certificate_pem": "x"}, 422, false, "", "exclude one another"},
		{"an unknown port", map[string]any{"port": "x"}, 422, false, "", `no port "x"`},
		{"a user and an unknown port", map[string]any{"port": "x", "user": "bob"}, 422, false, "", `no port "x"`},
		{"an unknown reference", map[string]any{"reference": "0123"}, 404, false, "", `"0123"`},
		{"an unknown field", map[string]any{"prot": "internal"}, 400, false, "", "prot"},
		{"a key", map[string]any{"port": "internal", "certificate_pem": pemOf("alice.pem") + pemOf("alice-key.pem")}, 422, false, "", "private key; nothing was stored"},
		{"no PEM", map[string]any{"port": "internal", "certificate_pem": "hello"}, 422, false, "", "not a certificate"},
		{"a request that another could follow", map[string]any{"port": "internal", "path": "/ HTTP/1.1\r\nX: y"}, 422, false, "", "more than one line"},
		{"a body that is too large", map[string]any{"port": strings.Repeat("x", 70_000)}, 413, false, "", "64 KiB"},
	} {
		body, err := json.Marshal(row.body)
		if err != nil {
			t.Fatal(err)
		}
		got := s.do(alice, "POST", "admin", "/api/v1/explain", string(body))
		x := decodeAny[explained](t, got.body)
		if got.StatusCode != row.status || x.Allowed != row.allowed || x.Reason != row.reason {
			t.Errorf("%s: got %s %s, want %d, reason %q", row.name, got.Status, got.body, row.status, row.reason)
		}
		if d := decodeAny[problem](t, got.body); row.detail != "" && (!strings.Contains(d.Detail, row.detail) || got.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: got %s, want a problem document with %q", row.name, got.body, row.detail)
		}
	}
	in := decode[[]report.Inspection](s, s.do(alice, "POST", "admin", "/api/v1/inspect", pemOf("alice.pem")))
	if len(in) != 1 || in[0].Cert.Subject != "CN=alice,OU=Staff,O=Acme" || len(in[0].Mappings) == 0 {
		t.Errorf("got %+v, want alice's certificate with its mappings", in)
	}
	if got := s.do(alice, "POST", "admin", "/api/v1/inspect", pemOf("alice-key.pem")); got.StatusCode != 422 || !strings.Contains(got.body, "private key") {
		t.Errorf("got %s %s, want 422 for a private key", got.Status, got.body)
	}
}

// The form works without a script, and does not send back what was uploaded.
// Covers W6.
func TestExplainFormShowsNoUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	send := func(file string, fields map[string]string) *answer {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range fields {
			_ = w.WriteField(name, value)
		}
		part, _ := w.CreateFormFile("certificate", file)
		if file != "" {
			data, err := pki.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = part.Write(data)
		}
		_ = w.Close()
		return s.do(alice, "POST", "admin", "/explain", body.String(), "Content-Type", w.FormDataContentType())
	}
	for _, row := range []struct {
		file   string
		fields map[string]string
		want   string
	}{
		{"bob.pem", map[string]string{"port": "internal", "path": "/orders/7"}, "Refused, 403 no-rule: GET /orders/7 on port internal, as user bob"},
		{"alice.pem", map[string]string{"port": "internal", "path": "/orders/7"}, "Allowed: GET /orders/7 on port internal, as user alice"},
		{"bob-key.pem", map[string]string{"port": "internal"}, "this file holds a private key; nothing was stored"},
		{"bob.pem", map[string]string{"port": "internal", "certificate_pem": "x"}, "there are two certificates"},
		{"", map[string]string{"port": "internal", "headers": "no colon"}, "is not NAME: VALUE"},
		{"", map[string]string{"user": "bob", "port": "internal", "path": "/secret/1"}, "denies user:bob"},
	} {
		got := send(row.file, row.fields)
		if got.StatusCode != http.StatusOK || !strings.Contains(got.body, row.want) {
			t.Errorf("%s %v: %s\n%s", row.file, row.fields, got.Status, got.body)
		}
		if strings.Contains(got.body, "-----BEGIN") {
			t.Errorf("%s: the certificate is in the page", row.file)
		}
	}
}
