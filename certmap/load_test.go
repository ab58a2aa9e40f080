package certmap_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

const digest1 = "0100000000000000000000000000000000000000000000000000000000000000"

func TestLoadReadsEveryField(t *testing.T) {
	t.Parallel()
	issuer := func(path string) (trust.Digest, error) {
		if path != "pki/ca.pem" {
			return trust.Digest{}, errors.New(path + ": no such file")
		}
		return trust.Digest{2}, nil
	}
	got, err := load("users.yaml", `
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
`, certmap.WithIssuers(issuer), certmap.WithPorts("internal", "partner"))
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
	if got, err := load("users.yaml", "mappings: []"); err != nil || len(got) != 0 {
		t.Errorf("an empty list: %v, %v", got, err)
	}
}

// Every row is a file with one error.
func TestLoadReportsEachErrorWithItsPosition(t *testing.T) {
	t.Parallel()
	one := func(fields string) string { return "mappings:\n  - {" + fields + "}\n" }
	good := "id: a, user: alice, fingerprint: " + digest1
	dns := "id: a, user: alice, dns: a.example, issuer: ca.pem"
	for _, row := range []struct{ text, want string }{
		{"", "users.yaml: the file is empty"},
		{"# nothing\n", "users.yaml: the file is empty"},
		{"---\n", "users.yaml:2:1: the file is empty (mappings: [] maps no certificate)"},
		{"null", "users.yaml:1:1: the file is empty (mappings: [] maps no certificate)"},
		{"mappings:\n", "users.yaml:1:10: mappings is empty (mappings: [] maps no certificate)"},
		{"mappings: null", "mappings is empty"},
		{"mappings: ~", "mappings is empty"},
		{"mappings: {}", "users.yaml:1:11: mappings is not a list"},
		{"mappings: x", "mappings is not a list"},
		{"- a", "users.yaml:1:1: the file is not a mapping"},
		{"x", "the file is not a mapping"},
		{"{}", "users.yaml:1:1: mappings is missing (mappings: [] maps no certificate)"},
		{"users: []", `users.yaml:1:1: unknown key "users" in the file`},
		{"mappings: []\nMappings: []", `users.yaml:2:1: unknown key "Mappings" in the file (did you mean mappings?)`},
		{"mappings: []\nmappings: []", `users.yaml:2:1: the file has the key "mappings" twice`},
		{"mappings: []\n---\nmappings: []", "users.yaml:2: the file holds a second document"},
		{"mappings: [\n", "this is not YAML"},
		{"mappings: []\n\t- x", "this is not YAML"},
		{"mappings: []\n--- [", "this is not YAML"},
		{"mappings: [*x]", "this is not YAML"},
		{"mappings: [x]", "users.yaml:1:12: mapping 1 is not a map (- {id: …, user: …, …})"},
		{"mappings: [~]", "mapping 1 is not a map"},
		{"mappings: [[]]", "mapping 1 is not a map"},
		{one(""), "users.yaml:2: mapping 1: no id"},
		{one("id: a"), `users.yaml:2: mapping "a": no user`},
		{one("id: a, user: alice"), `users.yaml:2: mapping "a": the mapping names no certificate`},
		{one("user: alice, fingerprint: " + digest1), "mapping 1: no id"},
		{one(good + ", spki: " + digest1), "a mapping has one kind, and this has fingerprint, spki"},
		{one("id: a, user: alice, dns: a.example"), "dns needs an issuer"},
		{one(good + ", nodes: x"), `unknown key "nodes" in mapping "a"`},
		{one(good + ", ID: b"), `unknown key "ID" in mapping "a" (did you mean id?)`},
		{one(good + ", id: b"), `mapping "a" has the key "id" twice`},
		{one(good + ", [a]: b"), `mapping "a" has a key that is not a text`},
		{"mappings:\n- &a {" + good + "}\n" + "- {<<: *a}\n", `users.yaml:3:4: unknown key "<<" in mapping 2`},
		{one("id: [a], user: alice, fingerprint: " + digest1), "users.yaml:2:10: mapping 1: id is not a text"},
		{one("id: a, user: {b: c}, fingerprint: " + digest1), `mapping "a": user is not a text`},
		{one("id: a, user: , fingerprint: " + digest1), `mapping "a": user is not a text`},
		{one("id: a, user: '', fingerprint: " + digest1), `users.yaml:2:19: mapping "a": user is empty`},
		{one("id: a, user: null, fingerprint: " + digest1), `mapping "a": user is not a text`},
		{one("id: a, user: !!str x, fingerprint: " + digest1), `mapping "a": user has the tag "!!str"`},
		{one("id: a, user: !x y, fingerprint: " + digest1), `mapping "a": user has the tag "!x"`},
		{"mappings: !!seq []", `mappings has the tag "!!seq"`},
		{"mappings:\n- !!map {" + good + "}", `has the tag "!!map"`},
		{one("id: a, user: alice, fingerprint: 12ab"), `users.yaml:2:39: mapping "a": fingerprint: "12ab" is not a SHA-256`},
		{one("id: a, user: alice, spki: zz"), `spki: "zz" is not a SHA-256`},
		{one("id: a, user: alice, serial: xyz, issuer: ca.pem"), `serial: "xyz" is not a serial number`},
		{one("id: a, user: alice, dns: a.example, issuer: sha256:12"), `issuer: "sha256:12" is not a SHA-256`},
		{one("id: a, user: alice, dns: a.example, issuer: " + digest1[2:]), "is not a SHA-256"},
		{one("id: a, user: alice, dns: a.example, issuer: " + digest1[:32]), "is not a SHA-256"},
		{one("id: a, user: alice, dns: a.example, issuer: " + digest1[:31]), digest1[:31] + ": no such file"},
		{one("id: a, user: alice, dns: a.example, issuer: sha256"), "issuer: sha256: no such file"},
		{one("id: a, user: alice, dns: a.example, issuer: " + strings.Repeat("0", 64)), "is no certificate's: it is all zeros"},
		{one("id: a, user: alice, dns: a.example, issuer: missing.pem"), "issuer: missing.pem: no such file"},
		{one(`id: a, user: alice, dns: a.example, issuer: "ca.pem\0"`), "is not a file name"},
		{one(dns + ", ports: []"), "ports is an empty list"},
		{one(dns + ", ports: internal"), "ports is not a list"},
		{one(dns + ", ports: [[x]]"), "ports is not a text"},
		{one(dns + ", ports: [null]"), "ports is not a text"},
		{one(dns + ", ports: [nowhere]"), `ports: there is no port "nowhere"`},
		{one(dns + ", ports: ['']"), `ports: there is no port ""`},
		{one(dns + ", ports: [internal, internal]"), `the port "internal" twice`},
		{one(dns + ", ports: [" + strings.Repeat("internal, ", 256) + "x]"), "ports has more than 256 entries"},
		{one(dns + ", not_before: tomorrow"), `not_before: "tomorrow" is not a date of RFC 3339`},
		{one(dns + ", not_before: 2026-13-01"), "not_before: "},
		{one(dns + ", not_before: 2026-01-01T00:00:00"), "not_before: "},
		{one(dns + ", not_before: 0001-01-01"), "not_before: "},
		{one(dns + ", not_after: 2026-01-01 00:00:00Z"), "not_after: "},
		{one(dns + ", not_before: 2026-01-02, not_after: 2026-01-01"), "not_after is before not_before"},
		{one(dns + ", disabled: yes"), `disabled: "yes" is neither`},
		{one(dns + ", disabled: True"), "disabled: "},
		{one(dns + `, disabled: "true"`), "disabled: "},
		{one(dns + ", disabled: 1"), "disabled: "},
		{one(dns + ", disabled: "), "disabled is not a text"},
		{one("id: a, user: Default, fingerprint: " + digest1), "users.yaml:2:19: mapping \"a\": the user \"Default\" is reserved"},
		{one("id: a, user: '{user}', fingerprint: " + digest1), "no value of the mapping captures it"},
		{"mappings:\n  - {" + good + "}\n  - {" + dns + "}", `users.yaml:3:10: mapping "a": the id is not unique, first at line 2`},
		{"mappings:\n  - {id: a, user: '!', dns: a, issuer: ca.pem}\n  - {" + good + "}", `users.yaml:3:10: mapping "a": the id is not unique, first at line 2`},
		{"mappings:\n  - {id: a, user: [], dns: a, issuer: ca.pem}\n  - {" + good + "}", `users.yaml:3:10: mapping "a": the id is not unique, first at line 2`},
		{"mappings:\n  - {" + good + "}\n  - {id: b, user: bob, fingerprint: " + digest1 + "}", `users.yaml:3: mapping "b": the same fingerprint as mapping "a" at users.yaml:2, for another user: bob and alice`},
		{"mappings:\n  - id: a\n    user: alice\n    dns: \"*.x\"\n    issuer: ca.pem\n", "users.yaml:4:10: mapping \"a\": dns: a wildcard"},
		{"mappings: &m [*m]", "mapping 1 is not a map"},
		{"mappings: [&m {id: a, user: alice, fingerprint: " + digest1 + ", ports: [*m]}]", "ports is not a text"},
	} {
		got, err := load("users.yaml", row.text, certmap.WithPorts("internal"), certmap.WithIssuers(func(path string) (trust.Digest, error) {
			if path == "ca.pem" {
				return trust.Digest{2}, nil
			}
			return trust.Digest{}, fmt.Errorf("%s: no such file", path)
		}))
		if err == nil || got != nil {
			t.Errorf("%q: no error", row.text)
			continue
		}
		wantError(t, err, row.want, row.text)
		for _, m := range configerror.All(err) {
			if m.File != "users.yaml" {
				t.Errorf("%q: no position in %v", row.text, m)
			}
		}
	}
}

// The errors of a file are reported together, in the order of its lines.
func TestLoadReportsAllErrorsAndStopsAtAHundred(t *testing.T) {
	t.Parallel()
	_, err := load("users.yaml", `other: 1
mappings:
  - {id: a, user: "!", fingerprint: 12}
  - {id: b, user: bob, dns: "*.x"}
  - {id: c, user: carol, dns: a.b, issuer: gone.pem}
  - {id: d, user: dora, dns: b.b, issuer: gone.pem}
  - {id: e, user: erik, spki: `+digest1+`}
  - {id: f, user: fred, spki: `+digest1+`, disabled: maybe}
  - {id: g, user: gina, spki: `+digest1+`}
`, certmap.WithIssuers(func(path string) (trust.Digest, error) { return trust.Digest{}, errors.New(path + " is gone") }))
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
	_, err = load("users.yaml", many.String())
	if all := configerror.All(err); len(all) != 101 || !strings.Contains(all[100].What, "more than 100") {
		t.Errorf("%d errors, the last: %v", len(all), all[len(all)-1])
	}
}

func TestIssuerFileIsReadOnce(t *testing.T) {
	t.Parallel()
	const text = "mappings:\n- {id: a, user: a, dns: a, issuer: x}\n- {id: b, user: b, dns: b, issuer: x}\n"
	n := 0
	read := func(key trust.Digest, err error) certmap.Option {
		return certmap.WithIssuers(func(string) (trust.Digest, error) { n++; return key, err })
	}
	if _, err := load("users.yaml", text, read(trust.Digest{1}, nil)); err != nil || n != 1 {
		t.Errorf("%d times, %v", n, err)
	}
	n = 0
	_, err := load("users.yaml", text, read(trust.Digest{}, errors.New("x is damaged")))
	if all := configerror.All(err); n != 1 || len(all) != 1 || all[0].Line != 2 || !strings.Contains(all[0].What, "x is damaged") {
		t.Errorf("%d times, %v", n, err)
	}
	_, err = load("users.yaml", text, read(trust.Digest{}, nil))
	wantError(t, err, `"x" has no public key`)
	_, err = load("users.yaml", text)
	wantError(t, err, `"x" is not a SHA-256, and no function reads files`)
}

func TestUnreadableFileIsAnError(t *testing.T) {
	t.Parallel()
	_, err := certmap.Load("users.yaml", iotest.ErrReader(errors.New("disk on fire")))
	wantError(t, err, "users.yaml: the file cannot be read: disk on fire")
}
