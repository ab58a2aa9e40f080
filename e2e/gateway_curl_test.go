//go:build linux

package e2e

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// curl makes one request, with a certificate or without one.
func (p *realGateway) curl(holder *testpki.Pair, arguments ...string) string {
	p.Helper()
	return p.curlEach(holder, arguments)[0]
}

// curlEach makes requests one after another, each with arguments of its own. They share a process
// and, where curl can, a connection. It returns an answer for each.
func (p *realGateway) curlEach(holder *testpki.Pair, requests ...[]string) []string {
	p.Helper()
	const end = "end of an answer\n"
	folder := p.TempDir()
	common := []string{"-s", "-m", "10", "--cacert", "ca.pem", "-w", "\n%{http_code}" + end}
	files := map[string][]byte{"ca.pem": p.serve.CertPEM()}
	if holder != nil {
		files["client.pem"] = append(holder.CertPEM(), holder.KeyPEM()...)
		common = append(common, "--cert", "client.pem")
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			p.Fatal(err)
		}
	}
	var full []string
	for i, arguments := range requests {
		if i > 0 {
			full = append(full, "--next")
		}
		full = append(append(append(full, common...), arguments...), p.url+"/whoami")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "curl", full...)
	cmd.Dir = folder
	out, _ := cmd.Output() // a refused handshake ends with an error, and 000
	var answers []string
	for text := range strings.SplitSeq(strings.TrimSuffix(string(out), end), end) {
		answers = append(answers, readAnswer(text))
	}
	if len(answers) != len(requests) {
		p.Fatalf("curl has %d answers to %d requests: %s", len(answers), len(requests), out)
	}
	return answers
}

// curlWithHeaders makes a request over HTTP/1.1 with each of the headers, and returns the answers.
func (p *realGateway) curlWithHeaders(holder *testpki.Pair, headers map[string][]string) map[string]string {
	p.Helper()
	var requests [][]string
	names := slices.Sorted(maps.Keys(headers))
	for _, name := range names {
		requests = append(requests, append(headerLines(headers[name]), "--http1.1"))
	}
	answers := map[string]string{}
	for i, answer := range p.curlEach(holder, requests...) {
		answers[names[i]] = answer
	}
	return answers
}

// readAnswer returns the status, and the reason or the body.
func readAnswer(text string) string {
	body, code := text, ""
	if i := strings.LastIndexByte(body, '\n'); i >= 0 {
		body, code = body[:i], body[i+1:]
	}
	if _, rest, ok := strings.Cut(body, `"reason":"`); ok {
		body, _, _ = strings.Cut(rest, `"`)
	}
	return strings.TrimSpace(code + " " + body)
}

// headerLines are headers for curl.
func headerLines(pairs []string) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		line := pairs[i] + ": " + pairs[i+1]
		if pairs[i+1] == "" {
			line = pairs[i] + ";" // otherwise curl omits the header
		}
		out = append(out, "-H", line)
	}
	return out
}
