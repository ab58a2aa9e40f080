//go:build linux

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// gatewayTrouble is an answer that nginx gives by itself.
type gatewayTrouble struct {
	see    string
	right  string    // a line of the documented configuration, as the row names it
	edit   [2]string // makes it wrong in the finished configuration
	holder func(*realGateway) *testpki.Pair
}

func aliceBehind(p *realGateway) *testpki.Pair { return p.alice }

var gatewayTroubles = []gatewayTrouble{
	{"400 … No required SSL certificate was sent", "ssl_verify_client optional;", [2]string{"ssl_verify_client optional;", "ssl_verify_client on;"}, func(*realGateway) *testpki.Pair { return nil }},
	{"400 … The SSL certificate error", "ssl_client_certificate @PKI@/client-ca.pem;", [2]string{"/client-ca.pem;", "/service-ca.pem;"}, aliceBehind},
	{"502 Bad Gateway", "proxy_ssl_name @NAME@;", [2]string{"proxy_ssl_name localhost;", "proxy_ssl_name other.example;"}, aliceBehind},
}

// An answer of nginx is on the page, and with the line that the page names a request works.
func TestTroubleshootingOfNginx(t *testing.T) {
	t.Parallel()
	rows := troubles(t)
	conf, err := os.ReadFile("../forwarded/testdata/gateways/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	nginx := &products[slices.IndexFunc(products, func(p product) bool { return p.name == "nginx" })]
	p := behindReal(t, nginx)
	right := p.url
	for _, c := range gatewayTroubles {
		i := slices.IndexFunc(rows, func(r trouble) bool { return r.see == c.see })
		if i < 0 {
			t.Errorf("no row %q", c.see)
			continue
		}
		if !slices.Contains(spans(rows[i].change), c.right) || !strings.Contains(string(conf), c.right) {
			t.Errorf("%s: the row or the configuration does not have %q", c.see, c.right)
			continue
		}
		p.url = p.start(c.edit[0], c.edit[1])
		if got := p.curl(c.holder(p)); !shows(got, c.see) {
			t.Errorf("the page has %q, nginx answers %s", c.see, got)
		}
		p.url = right
		if got := p.curl(c.holder(p)); !strings.HasPrefix(got, "200 ") {
			t.Errorf("%s: after the change: %s", c.see, got)
		}
	}
}
