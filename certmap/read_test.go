package certmap_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

const digest1 = "0100000000000000000000000000000000000000000000000000000000000000"

func TestRead(t *testing.T) {
	issuer := func(path string) (trust.Digest, error) {
		if path != "pki/ca.pem" {
			return trust.Digest{}, errors.New(path + ": no such file")
		}
		return trust.Digest{2}, nil
	}
	got, err := certmap.Read("users.yaml", []byte(`
mappings:
  - {id: a, user: alice, fingerprint: "sha256:`+digest1+`"}
  - {id: b, user: 007, fingerprint: 0200000000000000000000000000000000000000000000000000000000000000}
  - {id: c, user: orders, serial: 1000, issuer: pki/ca.pem, ports: [internal, &p partner]}
  - id: d
    user: "{user}"
    subject: CN={user},OU=Staff
    issuer: SHA256:`+strings.ToUpper(digest1)+`
    ports: [*p]
    not_before: 2026-01-02
    not_after: 2026-01-02T03:04:05+01:00
    disabled: true
  - &e {id: e, user: x, uri: "spiffe://a/b", issuer: pki/ca.pem, disabled: false}
`), issuer, certmap.WithPorts("internal", "partner"))
	if err != nil {
		t.Fatal(err)
	}
	want := []certmap.Mapping{
		{ID: "a", User: "alice", Fingerprint: trust.Digest{1}, File: "users.yaml", Line: 3},
		{ID: "b", User: "007", Fingerprint: trust.Digest{2}, File: "users.yaml", Line: 4},
		{ID: "c", User: "orders", Serial: big.NewInt(0x1000), Issuer: trust.Digest{2}, Ports: []string{"internal", "partner"}, File: "users.yaml", Line: 5},
		{
			ID: "d", User: "{user}", Subject: "CN={user},OU=Staff", Issuer: trust.Digest{1}, Ports: []string{"partner"},
			NotBefore: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
			Disabled: true, File: "users.yaml", Line: 6,
		},
		{ID: "e", User: "x", URI: "spiffe://a/b", Issuer: trust.Digest{2}, File: "users.yaml", Line: 14},
	}
	got[3].NotAfter = got[3].NotAfter.UTC()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
	if got, err := certmap.Read("users.yaml", []byte("mappings: []"), nil); err != nil || len(got) != 0 {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

// Every row is a file with one mistake: where, what.
func TestReadMistakes(t *testing.T) {
	one := func(fields string) string { return "mappings:\n  - {" + fields + "}\n" }
	good := "id: a, user: alice, fingerprint: " + digest1
	dns := "id: a, user: alice, dns: a.example, issuer: ca.pem"
	for _, row := range []struct{ text, want string }{
		{"", "users.yaml:1: the file is empty"},
		{"# nothing\n", "the file is empty"},
		{"---\n", "the file is empty"},
		{"null", "the file is empty"},
		{"mappings:\n", "users.yaml:1: mappings is empty"},
		{"mappings: null", "mappings is empty"},
		{"mappings: ~", "mappings is empty"},
		{"mappings: {}", "mappings is a map"},
		{"mappings: x", `mappings is the text "x"`},
		{"- a", "the file is a list"},
		{"x", `the file is the text "x"`},
		{"{}", "no mappings"},
		{"users: []", `unknown key "users"`},
		{"mappings: []\nMappings: []", `users.yaml:2: unknown key "Mappings"`},
		{"mappings: []\nmappings: []", "users.yaml:2: mappings twice"},
		{"mappings: []\n---\nmappings: []", "users.yaml:2: a second document"},
		{"mappings: [\n", "this is not YAML"},
		{"mappings: []\n\t- x", "this is not YAML"},
		{"mappings: []\n--- [", "this is not YAML"},
		{"mappings: [*x]", "this is not YAML"},
		{"mappings: [x]", `mapping 1: this is the text "x"`},
		{"mappings: [~]", "mapping 1: this is empty"},
		{"mappings: [[]]", "mapping 1: this is a list"},
		{one(""), "no id"},
		{one("id: a"), `users.yaml:2: mapping "a": no user`},
		{one("id: a, user: alice"), "nothing says which certificate"},
		{one("user: alice, fingerprint: " + digest1), "mapping 1: no id"},
		{one(good + ", spki: " + digest1), "fingerprint, spki"},
		{one("id: a, user: alice, dns: a.example"), "dns needs an issuer"},
		{one(good + ", nodes: x"), `unknown key "nodes"`},
		{one(good + ", ID: b"), `unknown key "ID"`},
		{one(good + ", id: b"), "id twice"},
		{one(good + ", [a]: b"), "unknown key"},
		{"a: &a {x: y}\n" + one(good+", <<: *a"), "merge keys"},
		{one(good + ", user2: x"), "unknown key"},
		{one("id: [a], user: alice, fingerprint: " + digest1), "id is a list"},
		{one("id: a, user: {b: c}, fingerprint: " + digest1), "user is a map"},
		{one("id: a, user: , fingerprint: " + digest1), "user is empty"},
		{one("id: a, user: '', fingerprint: " + digest1), "user is empty"},
		{one("id: a, user: null, fingerprint: " + digest1), "user is empty"},
		{one("id: a, user: !!str x, fingerprint: " + digest1), "user is the text"},
		{one("id: a, user: alice, fingerprint: 12ab"), "fingerprint: not a SHA-256"},
		{one("id: a, user: alice, spki: zz"), "spki: not a SHA-256"},
		{one("id: a, user: alice, serial: xyz, issuer: ca.pem"), "serial: not a serial number"},
		{one("id: a, user: alice, serial: 0, issuer: ca.pem"), "serial: not a serial number"},
		{one("id: a, user: alice, serial: -1, issuer: ca.pem"), "serial: not a serial number"},
		{one("id: a, user: alice, dns: a.example, issuer: sha256:12"), "issuer: not a SHA-256"},
		{one("id: a, user: alice, dns: a.example, issuer: " + digest1[2:]), "issuer: not a SHA-256"},
		{one("id: a, user: alice, dns: a.example, issuer: missing.pem"), "issuer: missing.pem: no such file"},
		{one(dns + ", ports: []"), "ports is an empty list"},
		{one(dns + ", ports: internal"), `ports is the text "internal"`},
		{one(dns + ", ports: [[x]]"), "a port is a list"},
		{one(dns + ", ports: [nowhere]"), `there is no port "nowhere"`},
		{one(dns + ", ports: [internal, internal]"), "twice"},
		{one(dns + ", not_before: tomorrow"), "not_before: "},
		{one(dns + ", not_before: 2026-13-01"), "not_before: "},
		{one(dns + ", not_before: 2026-01-01T00:00:00"), "not_before: "},
		{one(dns + ", not_after: 2026-01-01 00:00:00Z"), "not_after: "},
		{one(dns + ", not_before: 2026-01-02, not_after: 2026-01-01"), "not_after is before not_before"},
		{one(dns + ", disabled: yes"), "disabled: "},
		{one(dns + ", disabled: True"), "disabled: "},
		{one(dns + `, disabled: "true"`), "disabled: "},
		{one(dns + ", disabled: 1"), "disabled: "},
		{one(dns + ", disabled: "), "disabled is empty"},
		{one("id: a, user: Default, fingerprint: " + digest1), "reserved"},
		{one("id: a, user: '{user}', fingerprint: " + digest1), "nothing captures it"},
		{"mappings:\n  - {" + good + "}\n  - {" + dns + "}", `users.yaml:3: mapping "a": the id is not unique, first at line 2`},
		{"mappings:\n  - {id: a, user: '!', dns: a, issuer: ca.pem}\n  - {" + good + "}", "users.yaml:3: mapping \"a\": the id is not unique"},
		{"mappings:\n  - {" + good + "}\n  - {id: b, user: bob, fingerprint: " + digest1 + "}", `users.yaml:3: mapping "b": the same fingerprint as mapping "a" at users.yaml:2, for another user: bob and alice`},
		{"mappings:\n  - id: a\n    user: alice\n    dns: \"*.x\"\n    issuer: ca.pem\n", "users.yaml:4: mapping \"a\": dns: a wildcard"},
		{"mappings: &m [*m]", "mapping 1: this is a list"},
		{"mappings: [&m {id: a, user: alice, fingerprint: " + digest1 + ", ports: [*m]}]", "a port is"},
	} {
		got, err := certmap.Read("users.yaml", []byte(row.text), func(path string) (trust.Digest, error) {
			if path == "ca.pem" {
				return trust.Digest{2}, nil
			}
			return trust.Digest{}, fmt.Errorf("%s: no such file", path)
		}, certmap.WithPorts("internal"))
		if err == nil || got != nil {
			t.Errorf("%q: no mistake", row.text)
			continue
		}
		mistakes(t, err, row.want, row.text)
		for _, m := range configerror.All(err) {
			if m.File != "users.yaml" {
				t.Errorf("%q: no position in %v", row.text, m)
			}
		}
	}
}

// One file with many mistakes has them all, in the order of its lines.
func TestReadMistakesTogether(t *testing.T) {
	_, err := certmap.Read("users.yaml", []byte(`other: 1
mappings:
  - {id: a, user: "!", fingerprint: 12}
  - {id: b, user: bob, dns: "*.x"}
  - {id: c, user: carol, dns: a.b, issuer: gone.pem}
  - {id: d, user: dora, dns: b.b, issuer: gone.pem}
  - {id: e, user: erik, spki: `+digest1+`}
  - {id: f, user: fred, spki: `+digest1+`, disabled: maybe}
  - {id: g, user: gina, spki: `+digest1+`}
`), func(path string) (trust.Digest, error) { return trust.Digest{}, errors.New(path + " is gone") })
	var got []string
	for _, m := range configerror.All(err) {
		got = append(got, fmt.Sprintf("%d", m.Line))
	}
	if want := "1 3 3 4 4 5 8 9"; strings.Join(got, " ") != want {
		t.Errorf("lines %s, want %s: %v", got, want, err)
	}

	var many strings.Builder
	many.WriteString("mappings:\n")
	for range 1000 {
		many.WriteString("  - {id: a, user: '!', x: y}\n")
	}
	_, err = certmap.Read("users.yaml", []byte(many.String()), nil)
	if all := configerror.All(err); len(all) != 101 || !strings.Contains(all[100].What, "more than 100") {
		t.Errorf("%d mistakes, the last: %v", len(all), all[len(all)-1])
	}
}

// An issuer's file is read once.
func TestReadIssuerOnce(t *testing.T) {
	n := 0
	_, err := certmap.Read("users.yaml", []byte("mappings:\n- {id: a, user: a, dns: a, issuer: x}\n- {id: b, user: b, dns: b, issuer: x}\n"),
		func(string) (trust.Digest, error) { n++; return trust.Digest{1}, nil })
	if err != nil || n != 1 {
		t.Errorf("%d times, %v", n, err)
	}
	_, err = certmap.Read("users.yaml", []byte("mappings: [{id: a, user: a, dns: a, issuer: x}]"), nil)
	mistakes(t, err, "files are not read here")
}
