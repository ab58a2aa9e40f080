package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The trial at the beginning of docs/ask.md works as it is written: the certificates, the files,
// both questions by curl, and explain.
func TestTrialOfAsk(t *testing.T) {
	t.Parallel()
	sh := testkit.Program(t, "sh", "dash")
	for _, program := range []string{"curl", "openssl", "jq"} {
		testkit.Program(t, program, program)
	}
	page := read(t, "../../docs/ask.md")
	page, _, _ = strings.Cut(page, "## The answer")
	page = strings.ReplaceAll(page, "\\\n    ", "")
	listen := testkit.FreeAddress(t)
	port := listen[strings.LastIndex(listen, ":")+1:]
	page = strings.NewReplacer("127.0.0.1:8447", listen, "localhost:8447", "localhost:"+port).Replace(page)
	dir := demoFiles(t)
	for _, name := range []string{"mtlsguard.yaml", "policy.csv"} {
		_, text, ok := strings.Cut(page, "\n# "+name+"\n")
		text, _, _ = strings.Cut(text, "```\n")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil || !ok {
			t.Fatal(name, err)
		}
	}
	command := func(text string) string {
		cmd := exec.Command(sh, "-c", text)
		cmd.Dir = dir
		got, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("$ %s\n%s%v", text, got, err)
		}
		return strings.ReplaceAll(string(got), "\r", "")
	}
	for _, one := range regexp.MustCompile(`(?m)^\$ (openssl .*)$`).FindAllStringSubmatch(page, -1) {
		command(one[1])
	}
	startServer(t, "serve", "--config", filepath.Join(dir, "mtlsguard.yaml"))

	answers := regexp.MustCompile("(?ms)^(HTTP/2 .*?)^```").FindAllStringSubmatch(page, -1)
	question := regexp.MustCompile(`(?m)^\$ (curl .*)$`).FindStringSubmatch(page)
	if len(answers) != 2 || question == nil {
		t.Fatalf("the page has %d answers, and the question %q", len(answers), question)
	}
	for i, method := range []string{"POST", "DELETE"} {
		got := command(strings.Replace(question[1], "X-Original-Method: POST", "X-Original-Method: "+method, 1))
		for _, line := range strings.Split(strings.TrimSpace(answers[i][1]), "\n") {
			if name, _, ok := strings.Cut(line, "reference: "); ok {
				line = name + "reference: "
			}
			if !strings.Contains(got, strings.TrimSpace(line)) {
				t.Errorf("%s: no %q in\n%s", method, line, got)
			}
		}
	}
	explained := regexp.MustCompile(`(?m)^\$ mtlsguard (explain .*)\n(.*)$`).FindStringSubmatch(page)
	arguments := strings.Fields(explained[1])
	for i, a := range arguments {
		if strings.HasSuffix(a, ".pem") || strings.HasSuffix(a, ".yaml") {
			arguments[i] = filepath.Join(dir, a)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), arguments, strings.NewReader(""), &out, &out); code != exitNo || !strings.HasPrefix(out.String(), explained[2]+"\n") {
		t.Errorf("exit status %d\n%s", code, out.String())
	}
}
