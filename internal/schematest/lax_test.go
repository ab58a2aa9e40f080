package schematest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

// tables names the e2e tests that have tables of wrong configurations.
const tables = "^Test(ConfigurationErrorsHavePlaceAndHint|Gateway(ConfigurationErrors|Configurations)|ReverseConfigurationErrors|LintFindings)$"

// The schemas may be laxer than mtlsguard, never stricter: every configuration of the tables
// in e2e that mtlsguard reads without an error is valid. Most of those with an error in the
// file itself are not.
func TestSchemasAcceptWhatTheReadersAccept(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs tests of another package")
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "test", "-count=1", "-run", tables, "./e2e")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off", "MTLSGUARD_KEEP_CONFIGURATIONS="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded, wrong, noticed := 0, 0, 0
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		of, read := configSchema, readConfig
		if strings.HasSuffix(entry.Name(), "users.yaml") {
			of, read = usersSchema, readUsersOfAnyIssuer
		}
		invalid := of.validate(data)
		switch {
		case read(string(data)) != nil:
			if wrong++; invalid != nil {
				noticed++
			}
		case invalid != nil:
			t.Errorf("mtlsguard accepts %s, and the schema does not: %v\n%s", entry.Name(), invalid, data)
		default:
			loaded++
		}
	}
	t.Logf("%d configurations are accepted; of %d with an error the schemas notice %d", loaded, wrong, noticed)
	if loaded < 40 || wrong < 100 || noticed < wrong/2 {
		t.Error("too few")
	}
}

// readUsersOfAnyIssuer reads users.yaml, and opens none of the files that it names.
func readUsersOfAnyIssuer(text string) error {
	_, err := certmap.Load("users.yaml", strings.NewReader(text), anyIssuer)
	return err
}

var anyIssuer = certmap.WithIssuers(func(string) (trust.Digest, error) { return trust.Digest{1}, nil })

// For any text that mtlsguard.yaml may hold, the schema is not stricter than the parser.
func FuzzConfiguration(f *testing.F) {
	seeds(f, configSchema)
	f.Fuzz(func(t *testing.T, data []byte) {
		if readConfig(string(data)) != nil {
			return
		}
		if err := configSchema.validate(data); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}

// The same for users.yaml.
func FuzzUsers(f *testing.F) {
	seeds(f, usersSchema)
	f.Fuzz(func(t *testing.T, data []byte) {
		if readUsersOfAnyIssuer(string(data)) != nil {
			return
		}
		if err := usersSchema.validate(data); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}

// The same for a line of JSON.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"id": "staff", "user": "{user}", "subject": "CN={user},OU=Staff,O=Acme", "issuer": "ca.pem", "ports": ["internal"], "disabled": false}`))
	f.Add([]byte(`{"id": "a", "user": "a", "serial": 1000, "issuer": "ca.pem", "not_before": "2026-01-01"}`))
	f.Add([]byte(`{"id": 1, "user": 2, "spki": "sha256:9f0e0121631b3a5629d06d50b72a37b337824e46d6c8b06c7f4cb312213b2b49", "ports": [1, true]}`))
	f.Add([]byte("\v" + `{"id": "a", "user": "a", "serial": 1000, "issuer": "ca.pem"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.ContainsAny(data, "\n\r") {
			return
		}
		if _, err := certmap.Load("users.jsonl", bytes.NewReader(data), anyIssuer); err != nil {
			return
		}
		var value any
		if err := json.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		if err := mappingSchema.Validate(value); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}

// seeds adds the examples of docs/configuration.md that a schema is for, each also without one
// of its lines.
func seeds(f *testing.F, of schema) {
	data, err := os.ReadFile(root + "/docs/configuration.md")
	if err != nil {
		f.Fatal(err)
	}
	added := 0
	for i, part := range strings.Split(string(data), "\n```") {
		text, ok := strings.CutPrefix(part, "yaml\n")
		if _, is := schemaOf([]byte(text)); i%2 == 0 || !ok || is.Schema != of.Schema {
			continue
		}
		lines := strings.SplitAfter(text, "\n")
		for n := range lines {
			f.Add([]byte(strings.Join(lines[:n], "") + strings.Join(lines[n+1:], "")))
			added++
		}
		f.Add([]byte(text))
	}
	if added < 10 {
		f.Fatalf("only %d seeds", added)
	}
}
