package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, main) }

// page is docs/serve.md, with addresses of this test.
type page struct {
	*testing.T
	text, dir, path string
	addresses       *strings.Replacer
}

func newPage(t *testing.T) *page {
	t.Helper()
	data, err := os.ReadFile("../../../docs/serve.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &page{T: t, text: string(data), dir: filepath.Join(t.TempDir(), "try"), path: t.TempDir()}
	build := exec.Command("go", "build", "-o", p.path, "./cmd/mtlsguard")
	build.Dir, build.Env = "../../..", append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(p.path, "mtlsguardd")); err != nil {
		t.Fatal(err)
	}
	admin := testkit.FreeAddress(t)
	p.addresses = strings.NewReplacer("127.0.0.1:8443", testkit.FreeAddress(t), "127.0.0.1:8445", testkit.FreeAddress(t), "127.0.0.1:8449", admin, "localhost:8449", "localhost:"+admin[strings.LastIndex(admin, ":")+1:])
	p.sh("", "mtlsguard demo "+p.dir+" --files")
	_, config, ok := strings.Cut(p.text, "```yaml\n")
	config, _, end := strings.Cut(config, "```\n")
	if !ok || !end {
		t.Fatal("the page has no mtlsguard.yaml")
	}
	if err := os.WriteFile(filepath.Join(p.dir, "mtlsguard.yaml"), []byte(p.addresses.Replace(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// environment has the two commands in PATH.
func (p *page) environment() []string {
	return append(os.Environ(), "PATH="+p.path+":"+os.Getenv("PATH"), "MTLSGUARD_TEST_COMMAND=1")
}

// sh runs a command of the page, and returns what it prints.
func (p *page) sh(dir, command string) string {
	p.Helper()
	c := exec.Command(testkit.Program(p.T, "bash", "bash"), "-c", p.addresses.Replace(command))
	c.Dir, c.Env = dir, p.environment()
	out, _ := c.CombinedOutput() // its output is compared
	return string(out)
}

// serve starts a server, and returns how it is stopped.
func (p *page) serve(command ...string) (stop func()) {
	p.Helper()
	c := exec.Command(filepath.Join(p.path, command[0]), command[1:]...)
	c.Dir, c.Env = p.dir, p.environment()
	log, err := os.Create(filepath.Join(p.TempDir(), "log"))
	if err != nil {
		p.Fatal(err)
	}
	c.Stderr = log
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = c.Process.Kill() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		text, _ := os.ReadFile(log.Name())
		p.Fatalf("%v: %q\n%s", command, line, text)
	}
	return func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		if err := c.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			p.Errorf("%v: %v\n%s", command, err, text)
		}
	}
}

// calls are the commands of a section, each with what it prints.
func (p *page) calls(section string) (out [][2]string) {
	_, text, _ := strings.Cut(p.text, "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for _, call := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, prints, _ := strings.Cut(strings.TrimSuffix(call, "\n")+"\n", "\n")
			out = append(out, [2]string{command, prints})
		}
	}
	return out
}

// The sections about the admin page and about mtlsguardd work as they are written.
func TestThePageWorks(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	p := newPage(t)
	stop := p.serve("mtlsguard", "serve", "--config", "mtlsguard.yaml")
	asked := 0
	for _, section := range []string{"The admin page", "mtlsguardd"} {
		for _, call := range p.calls(section) {
			if call[0] == "mtlsguardd --config mtlsguard.yaml" {
				stop = p.serve(strings.Fields(call[0])...)
				continue
			}
			got := p.sh(p.dir, call[0])
			want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(call[1]), "…", "[0-9a-f]{16}") + "$")
			if asked++; !want.MatchString(got) {
				t.Errorf("$ %s\n%swant\n%s", call[0], got, call[1])
			}
		}
		stop()
	}
	if asked != 5 {
		t.Errorf("%d calls", asked)
	}
}
