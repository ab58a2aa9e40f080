package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The examples in the help of every command work in a folder with the files that they
// name.
func TestHelpExamplesWork(t *testing.T) {
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	addr := map[string]string{}
	if err := serveSite(dir, func(k, v string) { addr[k] = v }, t.Cleanup); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS("testdata/import")); err != nil { // what the examples of import read
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("MTLSGUARD_PASSWORD", "")
	keystores(t)
	put(t, "password.txt", "secret\n")
	put(t, "expected.txt", "alice internal GET /orders/7 allow\n")
	put(t, "server.log", siteLog)
	if err := os.Mkdir("clients", 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, "clients/alice.pem", read(t, "alice.pem"))

	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, leaf := range parser.Model.Leaves(false) {
		examples := 0
		for line := range strings.Lines(leaf.Detail) {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != "mtlsguard" || !strings.HasPrefix(line, "  mtlsguard") {
				continue
			}
			examples++
			put(t, "users.yaml", siteUsers)                     // undo the change of the previous example
			if strings.HasPrefix(line, "  mtlsguard import ") { // nothing is overwritten
				if err := os.RemoveAll("imported"); err != nil {
					t.Fatal(err)
				}
			}
			args := unquote(t, line)
			for i, a := range args {
				if strings.Contains(a, "localhost:8443") {
					args[i] = strings.Replace(a, "localhost:8443", strings.Replace(addr["INTERNAL"], "127.0.0.1", "localhost", 1), 1)
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			if args[0] == "demo" {
				args = append(args, "--first-port", "0")
				stop() // the demo ends at once
			}
			if args[0] == "serve" {
				put(t, "serve.yaml", strings.ReplaceAll(siteConfig, "    client_cert:", "    upstream: {url: \"unix:service.sock\"}\n    client_cert:"))
				for i, a := range args {
					args[i] = map[string]string{"mtlsguard.yaml": "serve.yaml", "127.0.0.1:8081": "127.0.0.1:0", "status.sock": "serve.sock"}[a]
					if args[i] == "" {
						args[i] = a
					}
				}
				stop() // serve ends at once
			}
			if slices.Contains(args, "--follow") {
				stop()
			}
			var out, errs bytes.Buffer
			// The examples succeed, except those about bob, about a line of a log, without a certificate, of lint, and of revoked, as no port looks up a CRL.
			code, want := run(ctx, args, strings.NewReader(""), &out, &errs), exitYes
			stop()
			if line == "  mtlsguard lint --config mtlsguard.yaml\n" || strings.Contains(line, "bob.pem --key") || strings.HasPrefix(line, "  mtlsguard revoked ") || strings.Contains(line, "explain --config mtlsguard.yaml --log") || strings.Contains(line, "localhost:8443 --cacert server-ca.pem") && strings.HasPrefix(strings.TrimSpace(line), "mtlsguard check") {
				want = exitNo
			}
			if code != want {
				t.Errorf("%sstatus %d\n%s%s", line, code, out.String(), errs.String())
			}
		}
		if examples == 0 {
			t.Errorf("%s has no example", leaf.Path())
		}
		seen += examples
	}
	t.Logf("%d examples", seen)
}

// unquote splits an example into arguments as a shell does.
func unquote(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for i, part := range strings.Split(strings.TrimSpace(line), `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out[1:]
}

// keystores writes alice.p12 and partner.jks with the password secret.
func keystores(t *testing.T) {
	t.Helper()
	entries, err := certfile.Read("alice.pem", certfile.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := certfile.ReadKey("alice-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(key, entries[0].Chain[0], nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	put(t, "alice.p12", string(p12))
	store := keystore.New()
	ca, err := certfile.Read("partner-ca.pem", certfile.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{Certificate: keystore.Certificate{Type: "X509", Content: ca[0].Chain[0].Raw}}); err != nil {
		t.Fatal(err)
	}
	var jks bytes.Buffer
	if err := store.Store(&jks, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	put(t, "partner.jks", jks.String())
}

// put writes a file as a whole: a server that reads it meanwhile reads the old or the new one.
func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Each curl line of a demo shows the case that its comment names.
func TestDemoCurlLinesShowTheirCases(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &watched{ready: make(chan struct{})}
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() { ended <- run(ctx, []string{"demo", "--first-port", "0"}, strings.NewReader(""), out, &errs) }()
	select {
	case <-out.ready:
	case code := <-ended:
		t.Fatalf("status %d: %s", code, errs.String())
	}
	want := []string{`"user":"alice"`, `"denied"`, `"unmapped"`, "curl: (", `"no-certificate"`, "curl: (", "curl: (", `"user":"Default"`}
	var folder string
	n := 0
	for line := range strings.Lines(out.String()) {
		if name, ok := strings.CutPrefix(line, "# files in "); ok {
			folder = strings.TrimSpace(name)
		}
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		answer, _ := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
		if n < len(want) && !strings.Contains(string(answer), want[n]) {
			t.Errorf("%s%s, want %s", line, answer, want[n])
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d curl lines", n)
	}
	stop()
	if code := <-ended; code != exitYes {
		t.Errorf("status %d: %s", code, errs.String())
	}
	if _, err := os.Stat(filepath.Join(folder, "mtlsguard.yaml")); folder == "" || err == nil {
		t.Errorf("the files in %q were not deleted", folder)
	}
}

// watched is a standard output that closes ready after the line ready.
type watched struct {
	bytes.Buffer
	ready chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if strings.HasSuffix(w.String(), "\nready\n") {
		close(w.ready)
	}
	return n, err
}
