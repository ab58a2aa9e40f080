package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

func TestHostNameInOtherLettersIsRefusedWithItsASCIIForm(t *testing.T) {
	t.Parallel()
	const written, ascii = "api.bücher.example", "api.xn--bcher-kva.example"
	gateway := func(t testing.TB) *site { // with a port for tunnels and one for registrations
		d := newDMZ(t)
		d.put("gateway-ca.pem", string(d.gatewayCA.CertPEM()))
		return d.site
	}
	for _, row := range []struct {
		name  string
		site  func(testing.TB) *site
		file  string
		spoil func(*site)
		what  string
	}{
		{"server_names", newSite, config, yaml("strict: true", "server_names: ["+written+"]"), `server_names: "` + written + `" is not a host name`},
		{"dns of a mapping", newSite, "users.yaml", more("users.yaml", "  - {id: x, user: x, dns: "+written+", issuer: ca.pem}\n"), "not a DNS name"},
		{"services of a tunnel", gateway, config, yaml("service: orders", "services: {"+written+": orders}"), `services: "` + written + `" is not a host name`},
		{"names of a registration", gateway, config, yaml("[orders.internal.example]", "["+written+"]"), `names: "` + written + `" is not a DNS name`},
		{"server_name of reverse", func(t testing.TB) *site {
			d := newDMZ(t)
			d.registrations = "127.0.0.1:1"
			return d.inside()
		}, config, yaml("strict: true", "server_name: "+written), `server_name: "` + written + `" is not a host name`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := row.site(t)
			row.spoil(s)
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			all := configerror.All(err)
			if len(all) != 1 || all[0].Line == 0 || !strings.Contains(all[0].What, row.what) || !strings.Contains(all[0].Error(), "write "+ascii) {
				t.Fatalf("got %v, want one error with a line, and %s in its hint", err, ascii)
			}
			s.sub(row.file, written, ascii)
			if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
				t.Errorf("after the hint: %v", err)
			}
		})
	}
}
