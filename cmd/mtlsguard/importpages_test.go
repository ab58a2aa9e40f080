package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shownFile is a file on a page: its name alone on a line, and its content in a block.
var shownFile = regexp.MustCompile("(?ms)^`([^`\n]+)`:\n\n```[a-z]*\n(.*?)^```$")

// The pages about import show files and commands. Every command is run in the order of
// the page, in a folder with the files and the test certificates, and prints what the page shows.
// clients is a folder with the certificates of alice, bob and orders.
func TestImportPagesAreRealOutput(t *testing.T) {
	pages, err := filepath.Glob("../../docs/from-*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	pages = append(pages, "../../docs/import.md")
	for _, page := range pages {
		page, err := filepath.Abs(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			text := read(t, page)
			dir := t.TempDir()
			if err := writeSite(dir); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			t.Setenv("MTLSGUARD_PASSWORD", "")
			if err := os.Mkdir("clients", 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"alice.pem", "bob.pem", "orders.pem"} {
				put(t, filepath.Join("clients", name), read(t, name))
			}
			for _, f := range shownFile.FindAllStringSubmatch(text, -1) {
				if err := os.MkdirAll(filepath.Dir(f[1]), 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, f[1], f[2])
			}
			if filepath.Base(page) == "from-webmethods.md" {
				writeInstance(t)
			}
			ran := 0
			fresh := blocks.ReplaceAllStringFunc(text, func(block string) string {
				body := strings.TrimSuffix(strings.TrimPrefix(block, "```console\n"), "```\n")
				var out strings.Builder
				for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(body, -1)[1:] {
					line, want, _ := strings.Cut(part, "\n")
					if !strings.HasPrefix(line, "mtlsguard ") {
						t.Errorf("%q is not run", line)
						continue
					}
					ran++
					var output bytes.Buffer
					run(t.Context(), unquote(t, line), strings.NewReader(""), &output, &output)
					if strings.TrimSpace(output.String()) != strings.TrimSpace(want) && !*transcripts {
						t.Errorf("$ %s\n%s\nthe page has\n%s", line, output.String(), want)
					}
					out.WriteString("$ " + line + "\n" + output.String() + "\n")
				}
				return "```console\n" + strings.TrimRight(out.String(), "\n") + "\n```\n"
			})
			if ran == 0 {
				t.Error("no command")
			}
			if *transcripts {
				if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
