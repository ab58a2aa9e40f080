package config

import (
	"slices"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// For any bytes the parser returns a configuration or configuration errors, each of them
// complete, and never panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte("users: users.yaml\npolicy: policy.csv\nreload: 5s\nports:\n  - name: a\n    listen: 127.0.0.1:8443\n    client_cert: none\n" +
		"    certificate: {cert: c.pem, key: k.pem}\n    trust: {anchors: [a.pem], crls: [], profile: strict, revocation: off}\n" +
		"    strict: false\n    unmapped: Default\n    methods: [PROPFIND]\n    server_names: [a.example]\n    limits: {idle: 2m, streams: 3}\n"))
	f.Add([]byte("users: users.yaml\npolicy: policy.csv\nports:\n  - name: a\n    listen: 127.0.0.1:8443\n    client_cert: require\n" +
		"    certificate: {cert: c.pem, key: k.pem}\n    forwarded:\n      format: nginx\n      header: X-Cert\n      verified: {header: X-Verified, value: ok}\n" +
		"      gateway: {anchors: [g.pem], names: [gateway.example, 'spiffe://a/b'], fingerprints: []}\n      trust: {anchors: [a.pem]}\n"))
	f.Add([]byte("ports:\n  - name: a\n    listen: 127.0.0.1:8443\n    client_cert: request\n    certificate: {cert: c.pem, key: k.pem}\n    trust: {anchors: [a.pem]}\n" +
		"    tunnel: {service: s, services: {a.example: t}, check: believed}\n  - name: b\n    listen: 127.0.0.1:8444\n    client_cert: require\n    certificate: {cert: c.pem, key: k.pem}\n" +
		"    trust: {anchors: [r.pem]}\n    registration: {upgrades: [websocket], services: [{name: s, names: [s.example]}, {name: t, fingerprints: []}]}\n"))
	f.Add([]byte("users: u\npolicy: p\nreverse:\n  name: tunnel\n  gateways: ['g.example:8444']\n  services: [s]\n  server_name: g.example\n  certificate: {cert: c, key: k}\n" +
		"  gateway: {anchors: [g], names: [g.example]}\n  clients: {anchors: [a]}\n  strict: false\n  unmapped: x\n  methods: [M]\n  server_names: [a.example]\n"))
	for _, seed := range []string{
		"", "a", "- a", "a: &x [*x]\nports: *x", "ports: [{}, null, ~, [], 1]", "? {a: b}\n: c", "users: !!binary eA==", "--- a\n--- b", "%YAML 1.1\n---\n",
		"ports:\n- &p {name: a, listen: ':1', client_cert: none, certificate: {cert: c, key: c}}\n- *p", "<<: *x", "\tports:", "\xff\xfe",
		"policy: p\nports: [{name: a, listen: '127.0.0.1:0', client_cert: none, limits: {connection_age: 2562047h, streams: 9223372036854775807}}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var wrong errorlist.List
		parsed := Parse("mtlsguard.yaml", data, Program{}, &wrong)
		if parsed == nil && wrong.Len() == 0 {
			t.Fatal("neither a configuration nor an error")
		}
		if wrong.Len() == 0 {
			if len(parsed.AllPorts()) == 0 || parsed.Policy.Value == "" && slices.ContainsFunc(parsed.AllPorts(), Port.Authorizes) || parsed.Reload < 0 {
				t.Errorf("accepted: %+v", parsed)
			}
			if r := parsed.Reverse; r != nil && (r.Name == "" || len(r.Gateways) == 0 || len(r.Services) == 0 || r.Trust == nil || r.Cert.Value == "" ||
				r.Gateway == nil || r.Gateway.Usage != trust.UsageServer) {
				t.Errorf("accepted: %+v", r)
			}
			for _, p := range parsed.Ports {
				if p.Name == "" || p.ClientAuth == 0 || p.Cert.Value == "" || p.ClientAuth > 1 && p.Trust == nil && p.Forwarded == nil ||
					p.Forwarded != nil && (p.ClientAuth == ports.None || p.Forwarded.Users == nil || p.Forwarded.Gateway == nil && p.Trust == nil) {
					t.Errorf("accepted: %+v", p)
				}
				if p.Registration != nil && (p.ClientAuth != ports.Require || p.Tunnel != nil || p.Forwarded != nil || p.Unmapped != "") ||
					p.Tunnel != nil && (p.Forwarded != nil || len(p.Tunnel.Services()) == 0 || p.Tunnel.VerifiedOnly && p.Unmapped != "") {
					t.Errorf("accepted: %+v", p)
				}
			}
		}
		for _, m := range configerror.All(wrong.Err()) {
			if m.File == "" || m.What == "" {
				t.Errorf("incomplete: %#v", m)
			}
		}
	})
}
