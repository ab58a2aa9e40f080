package allow_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/allow"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A service answers several callers and calls a partner for them. An alias that one caller
// may use is refused to another, and the partner gets no call.
// Covers J11.
func TestServiceForSeveralCallersUsesOnlyAllowedAliases(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	calls := 0
	partner := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		calls++
		io.WriteString(rw, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	partner.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	partner.StartTLS()
	defer partner.Close()
	keys := new(keystore.Memory)
	for _, alias := range []string{"partner-a", "partner-b"} {
		c, err := outbound.NewCredential(alias, ca.Leaf(alias).TLS())
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Put(c); err != nil {
			t.Fatal(err)
		}
	}
	may, err := allow.New(loadRules(t))
	if err != nil {
		t.Fatal(err)
	}
	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: ca.Pool(), Allow: may, Default: "partner-b"})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}
	for _, row := range []struct{ user, alias, want string }{
		{"alice", "partner-a", "partner-a"},
		{"alice", "partner-b", ""},
		{"mallory", "partner-a", "partner-a"},
		{"mallory", "", ""}, // the policy decides on the default too
		{"carol", "partner-a", ""},
		{"", "partner-a", ""},
		{"mallory", "../partner-a", ""},
	} {
		ctx := t.Context()
		if row.user != "" {
			ctx = mtlsguardtest.Request(t, "GET", "/", row.user).Context()
		}
		if row.alias != "" {
			ctx = outbound.As(ctx, row.alias)
		}
		before := calls
		r, _ := http.NewRequestWithContext(ctx, "GET", partner.URL, nil)
		response, err := client.Do(r)
		if row.want == "" {
			_, refused := errors.AsType[*reason.Refusal](err)
			unknown := errors.Is(err, outbound.ErrUnknownAlias)
			if !refused && !(unknown && strings.Contains(row.alias, "/")) || calls != before {
				t.Errorf("%s as %s: %v, %d calls", row.user, row.alias, err, calls-before)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s as %s: %v", row.user, row.alias, err)
			continue
		}
		got, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(got) != row.want {
			t.Errorf("%s as %s: the partner saw %q", row.user, row.alias, got)
		}
	}
}
