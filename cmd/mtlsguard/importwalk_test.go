package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

var shellBlocks = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The pages about import can be followed from a checkout as they are written: the files of the sample,
// the import, a service, mtlsguard in front of it, and the answers to curl.
func TestImportPagesEndInARunningServer(t *testing.T) {
	python, sh := testkit.Python(t), testkit.Program(t, "sh", "dash")
	for program, pack := range map[string]string{"curl": "curl", "openssl": "openssl", "keytool": "default-jdk-headless"} {
		testkit.Program(t, program, pack)
	}
	pages, err := filepath.Glob("../../docs/from-*.md")
	if err != nil || len(pages) != 3 {
		t.Fatal(pages, err)
	}
	certificates, err := filepath.Abs("../../testdata/pki")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text := read(t, page)
		t.Run(filepath.Base(page), func(t *testing.T) {
			listen, service := testkit.FreeAddress(t), testkit.FreeAddress(t)
			port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
			live := strings.NewReplacer("127.0.0.1:8443", listen, `":8443"`, `"`+listen+`"`, "127.0.0.1:8080", service, "http.server 8080", "http.server "+port(service), "../testdata/pki", certificates)
			t.Chdir(t.TempDir())
			t.Setenv("MTLSGUARD_PASSWORD", "")
			shell := func(script string) string {
				out, err := exec.Command(sh, "-ec", script).CombinedOutput()
				if err != nil {
					t.Fatalf("%s\n%s%v", script, out, err)
				}
				return string(out)
			}
			asked := 0
			for _, block := range shellBlocks.FindAllStringSubmatch(text, -1) {
				script := live.Replace(block[1])
				switch {
				case strings.Contains(script, "go build"):
					_, script, _ = strings.Cut(script, "cd try\n")
					shell("mkdir clients\n" + script)
					for _, f := range shownFile.FindAllStringSubmatch(text, -1) {
						if err := os.MkdirAll(filepath.Dir(f[1]), 0o700); err != nil {
							t.Fatal(err)
						}
						put(t, f[1], live.Replace(f[2]))
					}
					for _, line := range regexp.MustCompile(`(?m)^\$ (mtlsguard .*)$`).FindAllStringSubmatch(text, -1) {
						var out bytes.Buffer
						run(t.Context(), unquote(t, line[1]), strings.NewReader(""), &out, &out)
					}
				case strings.Contains(script, "mtlsguard serve"):
					start, server, found := strings.Cut(script, "python3 -m ")
					arguments, command, more := strings.Cut(server, " &\nmtlsguard ")
					if !found || !more {
						t.Fatalf("no service and server in\n%s", script)
					}
					shell(start)
					startService(t, python, "-m "+arguments, service)
					startServer(t, strings.Fields(command)...)
				case strings.HasPrefix(script, "curl "):
					for _, call := range regexp.MustCompile(`(?m)^(curl .*)\n# (.*)$`).FindAllStringSubmatch(script, -1) {
						asked++
						want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(call[2]), "…", ".*") + "\n$")
						if got := shell(call[1]); !want.MatchString(got) {
							t.Errorf("%s\n%sthe page has\n%s", call[1], got, call[2])
						}
					}
				}
			}
			if asked < 2 {
				t.Errorf("%d calls", asked)
			}
		})
	}
}

// startService starts a program of Python that listens, until the end of the test.
func startService(t *testing.T, python, arguments, addr string) {
	t.Helper()
	service := exec.Command(python, strings.Fields(arguments)...)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Kill()
		_ = service.Wait()
	})
	testkit.Eventually(t, "the service listens", func() bool { return dials(addr) })
}

// demoFiles writes the files of a demo into a new folder.
func demoFiles(t *testing.T, flags ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "try")
	var out bytes.Buffer
	if code := run(t.Context(), append([]string{"demo", dir, "--files"}, flags...), strings.NewReader(""), &out, &out); code != exitYes {
		t.Fatal(out.String())
	}
	return dir
}

// startServer runs a command that serves, and waits until it is ready. stop ends it and returns its log. The
// end of the test ends it too.
func startServer(t *testing.T, arguments ...string) (stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var stdout, stderr testkit.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, arguments, strings.NewReader(""), &stdout, &stderr) }()
	stop = sync.OnceValue(func() string {
		cancel()
		if code := <-ended; code != exitYes {
			t.Errorf("exit status %d, want %d\n%s", code, exitYes, stderr.String())
		}
		return stderr.String()
	})
	t.Cleanup(func() { stop() })
	testkit.Eventually(t, "ready", func() bool {
		if len(ended) > 0 {
			t.Fatal(stderr.String())
		}
		return stdout.String() == "ready\n"
	})
	return stop
}
