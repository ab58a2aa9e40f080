package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The first five minutes of docs/serve.md work as they are written: the files, the service in
// Python, the server, and each answer to curl.
func TestFirstFiveMinutesOfServe(t *testing.T) {
	t.Parallel()
	python, sh := testkit.Python(t), testkit.Program(t, "sh", "dash")
	testkit.Program(t, "curl", "curl")
	page := read(t, "../../docs/serve.md")
	listen, public, service := testkit.FreeAddress(t), testkit.FreeAddress(t), testkit.FreeAddress(t)
	live := strings.NewReplacer("127.0.0.1:8443", listen, "127.0.0.1:8445", public, "127.0.0.1:8449", testkit.FreeAddress(t), "127.0.0.1:8080", service, `"127.0.0.1", 8080`, `"127.0.0.1", `+service[strings.LastIndex(service, ":")+1:])
	dir := demoFiles(t)
	for name, kind := range map[string]string{"mtlsguard.yaml": "yaml", "service.py": "python"} {
		_, text, ok := strings.Cut(page, "```"+kind+"\n# "+name)
		text, _, end := strings.Cut(text, "```\n")
		if !ok || !end {
			t.Fatalf("the page has no %s", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#"+live.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	orders := exec.Command(python, "service.py")
	orders.Dir = dir
	if err := orders.Start(); err != nil {
		t.Fatal(err)
	}
	stopOrders := sync.OnceFunc(func() {
		_ = orders.Process.Kill()
		_ = orders.Wait()
	})
	defer stopOrders()
	testkit.Eventually(t, "the service listens", func() bool { return dials(service) })

	stop := startServer(t, "serve", "--config", filepath.Join(dir, "mtlsguard.yaml"))

	_, minutes, _ := strings.Cut(page, "## The first five minutes")
	minutes, _, _ = strings.Cut(minutes, "\n## ")
	asked := 0
	for _, part := range regexp.MustCompile(`(?m)^\$ (curl .*)\n(.*)$`).FindAllStringSubmatch(minutes, -1) {
		if asked++; strings.Contains(part[2], "upstream") {
			stopOrders()
		}
		curl := exec.Command(sh, "-c", live.Replace(part[1]))
		curl.Dir = dir
		got, err := curl.CombinedOutput()
		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(part[2]), "…", "[0-9a-f]{16}") + "\n$")
		if err != nil || !want.Match(got) {
			t.Errorf("$ %s\n%s%v, the page has\n%s", part[1], got, err, part[2])
		}
	}
	if asked != 5 {
		t.Errorf("%d calls", asked)
	}
	if log := stop(); !strings.Contains(log, `"event":"upstream"`) {
		t.Errorf("the log has no failure of the service:\n%s", log)
	}
}

// serve reports a missing setting or a wrong flag, and opens no port.
func TestErrorOfServeOpensNoPort(t *testing.T) {
	t.Parallel()
	dir := demoFiles(t, "--first-port", "0")
	config := filepath.Join(dir, "mtlsguard.yaml")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, row := range []struct {
		arguments []string
		want      []string
	}{
		{[]string{"--config", config}, []string{
			config + `:5: port "internal" has no upstream: nothing would serve its requests`, `port "partner" has no upstream`, `port "public" has no upstream`,
			`hint: add upstream: {url: "http://127.0.0.1:8080"}`,
		}},
		{[]string{"--config", config, "--probes", ""}, []string{"error: --probes is empty"}},
		{[]string{"--config", config, "--status-socket="}, []string{"error: --status-socket is empty"}},
		{[]string{"--config", config, "--probes", taken.Addr().String()}, []string{"error: --probes: listen tcp", "hint: --probes HOST:PORT"}},
		{[]string{"--config", dir + "/missing.yaml"}, []string{"missing.yaml", "hint: "}},
		{nil, []string{"--config", "hint: mtlsguard serve --help"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"serve"}, row.arguments...), strings.NewReader(""), &stdout, &stderr)
		if code != exitInvalid || stdout.Len() > 0 {
			t.Errorf("%v: exit status %d, %s", row.arguments, code, stdout.String())
		}
		for _, want := range row.want {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%v: no %q in\n%s", row.arguments, want, stderr.String())
			}
		}
	}
}

func dials(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}
