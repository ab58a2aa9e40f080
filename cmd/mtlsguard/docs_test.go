package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var transcripts = flag.Bool("transcripts", false, "write the transcripts into docs/command.md")

// The transcripts of docs/command.md are the real output: each command is run in the order
// of the page. … stands for text that differs in every run.
func TestTranscriptsAreRealOutput(t *testing.T) {
	page, err := filepath.Abs("../../docs/command.md")
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, page)
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	addr := map[string]string{}
	if err := serveSite(dir, func(k, v string) { addr[k] = v }, t.Cleanup); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("MTLSGUARD_PASSWORD", "")
	keystores(t)
	put(t, "password.txt", "secret\n")
	put(t, "server.log", siteLog)
	put(t, "partners.csv", "user,certificate,until,uri\norders-api,orders.pem,2126-12-31,\nold partner,partner.pem,,\nrobot,,,spiffe://acme/ns/prod/sa/robot\n")
	put(t, "expected.txt", "alice  internal  GET  /orders/7  allow\nbob    internal  GET  /orders/7  allow\n")

	// The files stand on the page.
	ports := regexp.MustCompile(`127\.0\.0\.1:844[345]`)
	for name, want := range map[string]string{"mtlsguard.yaml": siteConfig, "users.yaml": siteUsers, "policy.csv": sitePolicy, "server.log": siteLog, "expected.txt": read(t, "expected.txt"), "partners.csv": read(t, "partners.csv")} {
		_, rest, _ := strings.Cut(text, "\n`"+name+"`:\n\n```")
		_, rest, _ = strings.Cut(rest, "\n")
		got, _, _ := strings.Cut(rest, "```\n")
		got = strings.Replace(ports.ReplaceAllString(got, "127.0.0.1:0"), "reload: 5s", "reload: 50ms", 1)
		if got != want {
			t.Errorf("the page has another %s:\n%s\nwant\n%s", name, got, want)
		}
	}

	live := strings.NewReplacer("localhost:8443", strings.Replace(addr["INTERNAL"], "127.0.0.1", "localhost", 1))
	back := strings.NewReplacer(
		strings.Replace(addr["INTERNAL"], "127.0.0.1", "localhost", 1), "localhost:8443", addr["INTERNAL"], "127.0.0.1:8443")
	ran := 0
	fresh := blocks.ReplaceAllStringFunc(text, func(block string) string {
		body := strings.TrimSuffix(strings.TrimPrefix(block, "```console\n"), "```\n")
		var out strings.Builder
		for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(body, -1)[1:] {
			line, want, _ := strings.Cut(part, "\n")
			if !strings.HasPrefix(line, "mtlsguard ") || strings.HasPrefix(line, "mtlsguard demo") {
				out.WriteString("$ " + part)
				continue
			}
			ran++
			var output bytes.Buffer
			run(t.Context(), unquote(t, live.Replace(line)), strings.NewReader(""), &output, &output)
			got := references.ReplaceAllString(back.Replace(output.String()), "${1}…")
			got = days.ReplaceAllString(got, "… days left")
			if strings.TrimSpace(got) != strings.TrimSpace(want) && !*transcripts {
				t.Errorf("$ %s\n%s\nthe page has\n%s", line, got, want)
			}
			out.WriteString("$ " + line + "\n" + got + "\n")
		}
		return "```console\n" + strings.TrimRight(out.String(), "\n") + "\n```\n"
	})
	if ran < 12 {
		t.Errorf("only %d commands", ran)
	}
	if *transcripts {
		if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	blocks     = regexp.MustCompile("(?s)```console\n.*?```\n")
	days       = regexp.MustCompile("[0-9]+ days left")
	references = regexp.MustCompile("(reference[ =])[0-9a-f]{16}")
)
