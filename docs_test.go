package mtlsguard_test

import (
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

const (
	config    = "mtlsguard.yaml"
	reference = "docs/configuration.md"
)

// block is a fenced block of a page.
type block struct {
	page string
	line int
	kind string // the language after the fence
	text string
}

// file returns the file's name in the marker comment of a block, "# users.yaml: …", or "" without
// a marker.
func (b block) file() string {
	first, _, _ := strings.Cut(b.text, "\n")
	name, ok := strings.CutPrefix(first, "# ")
	name, _, _ = strings.Cut(strings.NewReplacer(":", ",", " ", ",").Replace(name), ",")
	switch {
	case b.kind == "jsonl":
		return "users.jsonl"
	case ok && slices.Contains([]string{config, "users.yaml", "policy.csv"}, name):
		return name
	}
	return ""
}

func blocks(t testing.TB, page string) []block {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	open := false
	for i, line := range strings.Split(string(data), "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			out, open = append(out, block{page: page, line: i + 1, kind: kind}), true
		case fence:
			open = false
		case open:
			out[len(out)-1].text += line + "\n"
		}
	}
	if open {
		t.Fatalf("%s: a block has no end", page)
	}
	return out
}

// folder is where a test writes the files of an example.
type folder string

func newFolder(tb testing.TB) folder { return folder(tb.TempDir()) }

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) write(tb testing.TB, name, content string) {
	tb.Helper()
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (d folder) read(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(d.path(name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// replace replaces text in a file once. The test fails if the file has no such text.
func (d folder) replace(tb testing.TB, name, before, after string) {
	tb.Helper()
	content := d.read(tb, name)
	if !strings.Contains(content, before) {
		tb.Fatalf("%s has no %q", name, before)
	}
	d.write(tb, name, strings.Replace(content, before, after, 1))
}

// tokenKey is the Ed25519 key of RFC 8410 section 10.3.
const tokenKey = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"

// newDocumentedFolder returns a folder with every file that the examples use, and with the
// first complete example.
func newDocumentedFolder(tb testing.TB) folder {
	tb.Helper()
	d := newFolder(tb)
	clients, gateways, registrations := testpki.NewCA("Client CA"), testpki.NewCA("Gateway CA"), testpki.NewCA("Registration CA")
	server, gateway := testpki.NewCA("Server CA").Server(), gateways.Server()
	orders, revoked := registrations.Leaf("orders"), clients.Leaf("revoked")
	crl := clients.CRL(7, []*big.Int{revoked.Cert.SerialNumber})
	for _, name := range []string{"crls", "tls", "callers"} {
		if err := os.Mkdir(d.path(name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{
		"server.pem": server.CertPEM(), "server-key.pem": server.KeyPEM(),
		"client-ca.pem": clients.CertPEM(), "issuing-ca.pem": clients.SubCA("Issuing CA").CertPEM(), "revoked.pem": revoked.CertPEM(),
		"client-ca.crl": crl.Raw, "crls/ca.crl": crl.Raw, "acme-bundle.pem": testpki.NewCA("acme.example").CertPEM(),
		"tls/tls.crt": server.CertPEM(), "tls/tls.key": server.KeyPEM(), "callers/ca.crt": clients.CertPEM(), // of cert-manager
		"svid.pem": server.CertPEM(), "svid_key.pem": server.KeyPEM(), "svid_bundle.pem": clients.CertPEM(), // of spiffe-helper
		"gateway-ca.pem": gateways.CertPEM(), "gateway.pem": gateway.CertPEM(), "gateway-key.pem": gateway.KeyPEM(),
		"registration-ca.pem": registrations.CertPEM(), "orders-server.pem": orders.CertPEM(), "orders-server-key.pem": orders.KeyPEM(),
		"token-key.pem": []byte(tokenKey),
	} {
		d.write(tb, name, string(content))
	}
	for _, name := range []string{config, "users.yaml", "policy.csv"} {
		d.write(tb, name, firstBlock(tb, name).text)
	}
	return d
}

// firstBlock returns the first block of the reference that shows a file.
func firstBlock(t testing.TB, file string) block {
	t.Helper()
	for _, b := range blocks(t, reference) {
		if b.file() == file {
			return b
		}
	}
	t.Fatalf("%s has no block that begins with # %s", reference, file)
	return block{}
}

// Every example loads together with the previous ones on its page.
func TestDocsExamplesLoad(t *testing.T) {
	t.Parallel()
	for page, least := range map[string]int{"README.md": 3, reference: 7, "docs/reverse.md": 3, "docs/certificates.md": 3} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			s := newDocumentedFolder(t)
			loaded := 0
			for _, b := range blocks(t, page) {
				file := b.file()
				if file == "" {
					if b.kind == "yaml" {
						t.Errorf("%s:%d: this YAML does not begin with # and its file's name", b.page, b.line)
					}
					continue
				}
				s.write(t, file, b.text)
				users := "users: users.yaml"
				if file == "users.jsonl" {
					s.replace(t, config, users, "users: users.jsonl")
				}
				if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
					t.Errorf("%s:%d: %v", b.page, b.line, err)
				}
				if file == "users.jsonl" {
					s.replace(t, config, "users: users.jsonl", users)
				}
				loaded++
			}
			if loaded < least {
				t.Errorf("%d examples, want %d or more", loaded, least)
			}
		})
	}
}

// Every key is documented: the hint about an unknown key lists the known keys of its level, and
// the reference must explain each of them.
func TestDocsNameEveryKey(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	full := ""
	for _, b := range blocks(t, reference) {
		if b.file() == config {
			full = b.text // the last block has every key
		}
	}
	const unknown = "quite-unknown"
	for _, row := range []struct {
		level, file, before string // the unknown key is inserted after this text
		some                string // a key of that level
	}{
		{"the file", config, "", "policy"},
		{"a port", config, "  - ", "client_cert"},
		{"certificate", config, "certificate: {", "cert"},
		{"trust", config, "trust:\n      ", "must_be_revoked"},
		{"fetch", config, "        - {", "issuer"},
		{"ocsp", config, "ocsp: {", "nonce"},
		{"a trust domain", config, "trust_domains:                       # none by default\n        - {", "name"},
		{"forwarded", config, "forwarded:\n      ", "format"},
		{"gateway", config, "gateway:\n        ", "fingerprints"},
		{"verified", config, "verified: {", "value"},
		{"registration", config, "registration:                          # or: registration: true\n      ", "upgrades"},
		{"a service", config, "services:\n        - {", "fingerprints"},
		{"tunnel", config, "tunnel: {", "check"},
		{"reverse", config, "reverse:                                   # this server dials gateways\n  ", "gateways"},
		{"a quota", config, "quotas:                                    # none by default\n  - {", "burst"},
		{"limits", config, "limits:\n      ", "connections_per_ip"},
		{"addresses", config, "addresses: {", "deny"},
		{"proxy_protocol", config, "proxy_protocol: {", "from"},
		{"headers", config, "headers: {", "signed"},
		{"admin", config, "\nadmin: {", "edit"},
		{"metrics", config, "\nmetrics: {", "path"},
		{"tokens", config, "\ntokens: {", "key"},
		{"a mapping", "users.yaml", "  - {", "fingerprint"},
	} {
		t.Run(row.level, func(t *testing.T) {
			t.Parallel()
			s := newDocumentedFolder(t)
			s.write(t, config, full)
			key := unknown + ": x\n"
			switch {
			case strings.HasSuffix(row.before, "{"):
				key = unknown + ": x, "
			case row.before != "":
				key += strings.Repeat(" ", indent(row.before))
			}
			if row.before == "" {
				s.write(t, row.file, key+s.read(t, row.file))
			} else {
				s.replace(t, row.file, row.before, row.before+key)
			}
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			found := configerror.All(err)
			if len(found) != 1 || !strings.Contains(found[0].What, unknown) {
				t.Fatalf("the error of one unknown key is %v", err)
			}
			_, list, ok := strings.Cut(found[0].Hint, " are ")
			known := strings.Split(list, ", ")
			if !ok || !slices.Contains(known, row.some) {
				t.Fatalf("the hint is %q", found[0].Hint)
			}
			for _, k := range known {
				if !strings.Contains(string(page), "`"+k+"`") {
					t.Errorf("%s does not explain `%s` of %s", reference, k, row.level)
				}
				if row.file == config && !strings.Contains(full, k+":") {
					t.Errorf("the example of every key has no %s", k)
				}
			}
		})
	}
}

// The reference explains every key of source. The example of every key does not have it: it
// would need a store.
func TestDocsNameEveryKeyOfSource(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Source")
	section, _, _ = strings.Cut(section, "\n## ")
	s := newDocumentedFolder(t)
	for level, key := range map[string]string{"source": "quite-unknown: x", "certificate": "certificate: {quite-unknown: x}"} {
		s.write(t, config, firstBlock(t, config).text+"source:\n  "+key+"\n")
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		known := ""
		for _, e := range configerror.All(err) {
			if strings.Contains(e.What, "quite-unknown") {
				_, known, _ = strings.Cut(e.Hint, " are ")
			}
		}
		if known == "" {
			t.Fatalf("%s: the error of an unknown key is %v", level, err)
		}
		for k := range strings.SplitSeq(known, ", ") {
			if !strings.Contains(section, "`"+k+"`") {
				t.Errorf("%s does not explain `%s` of %s", reference, k, level)
			}
		}
	}
}

// indent returns the indentation of the keys of a level.
func indent(before string) int {
	if end := strings.LastIndex(before, "\n"); end >= 0 {
		return len(before) - end - 1
	}
	return len(before) // of the first key in a list
}

// The recipes create certificates that the first example accepts, and a CRL that revokes.
func TestDocsRecipes(t *testing.T) {
	t.Parallel()
	shell := testkit.Program(t, "sh", "dash")
	testkit.Program(t, "openssl", "openssl")
	s := newFolder(t)
	recipes := 0
	for _, b := range blocks(t, reference) {
		switch b.kind {
		case "sh":
			recipes++
			cmd := exec.Command(shell, "-e", "-c", b.text)
			cmd.Dir = string(s)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s:%d: %v\n%s", b.page, b.line, err, out)
			}
		case "yaml", "":
			if _, err := os.Stat(s.path(b.file())); err != nil {
				s.write(t, b.file(), b.text) // the first block of this name
			}
		}
	}
	if recipes != 3 {
		t.Errorf("%d recipes, want 3", recipes)
	}
	s.replace(t, config, "{anchors: [client-ca.pem]}", "{anchors: [client-ca.pem], crls: [client-ca.crl], must_be_revoked: [orders.pem]}")
	if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
		t.Error(err)
	}
	s.replace(t, config, "must_be_revoked: [orders.pem]", "must_be_revoked: [alice.pem]")
	if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err == nil {
		t.Error("the recipe revokes alice too")
	}
}

// The whole programs of the pages compile.
func TestDocsProgram(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]int{"README.md": 1, "docs/embedding.md": 2} {
		programs := 0
		for _, b := range blocks(t, page) {
			if b.kind != "go" || page != "README.md" && !strings.HasPrefix(b.text, "package ") {
				continue
			}
			programs++
			if _, err := parser.ParseFile(token.NewFileSet(), page, b.text, parser.AllErrors); err != nil {
				t.Fatalf("%s:%d: %v", page, b.line, err)
			}
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", page, b.line, err, out)
			}
		}
		if programs != want {
			t.Errorf("%s has %d programs, want %d", page, programs, want)
		}
	}
}

// Every link within this repository has its target, also its heading.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range append(pages, "README.md", "SECURITY.md", "CHANGELOG.md", "examples/pkcs11/README.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(data), "](") {
			target, _, _ := strings.Cut(part, ")")
			if i == 0 || strings.Contains(target, "://") {
				continue
			}
			name, heading, _ := strings.Cut(target, "#")
			file := page
			if name != "" {
				file = filepath.Join(filepath.Dir(page), name)
			}
			if heading == "" {
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s: %v", page, err)
				}
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if !slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool { return anchor(line) == heading }) {
				t.Errorf("%s: %s has no heading #%s", page, file, heading)
			}
		}
	}
	for _, linked := range []string{reference, "docs/threat-model.md", "docs/reasons.md", "SECURITY.md"} {
		readme, _ := os.ReadFile("README.md")
		if !strings.Contains(string(readme), "]("+linked) {
			t.Errorf("README.md has no link to %s", linked)
		}
	}
}

// anchor returns GitHub's anchor of a heading.
func anchor(line string) string {
	if !strings.HasPrefix(line, "#") {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', '0' <= r && r <= '9', 'a' <= r && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#"))))
}
