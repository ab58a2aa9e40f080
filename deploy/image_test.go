//go:build linux

package deploy

import (
	"crypto/x509"
	"debug/elf"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	core "k8s.io/api/core/v1"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// build runs the command of the Dockerfile that builds the server, and returns the file.
func build(tb testing.TB) string {
	tb.Helper()
	data, err := os.ReadFile("Dockerfile")
	if err != nil {
		tb.Fatal(err)
	}
	text := string(data)
	line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 .*go build .*)$`).FindStringSubmatch(text)
	argument := regexp.MustCompile(`(?m)^ARG PACKAGE=(.*)$`).FindStringSubmatch(text)
	_, last, ok := strings.Cut(text, "\nFROM scratch\n")
	if line == nil || argument == nil || !ok {
		tb.Fatal("the Dockerfile builds no server")
	}
	if want := "COPY --from=build /server /server\nUSER 65532:65532\nENTRYPOINT [\"/server\"]\n"; last != want {
		tb.Errorf("the image is\n%swant\n%s", last, want)
	}
	binary := filepath.Join(tb.TempDir(), "server")
	cmd := exec.Command("sh", "-c", strings.Replace(line[1], "-o /server", "-o "+binary, 1))
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "PACKAGE="+argument[1])
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// root is the root folder of a container.
type root struct {
	testing.TB
	dir string
}

func (r *root) path(elements ...string) string {
	return filepath.Join(append([]string{r.dir}, elements...)...)
}

// mount writes files as kubelet does: their names are links to ..data/NAME, and ..data is a
// link to a folder, which one rename replaces. Group 65532 may read, by fsGroup.
func (r *root) mount(folder, version string, files map[string]string) {
	r.Helper()
	inner := ".." + version
	r.must(os.MkdirAll(r.path(folder, inner), 0o755))
	for name, content := range files {
		file := r.path(folder, inner, name)
		r.must(os.WriteFile(file, []byte(content), 0o440))
		r.must(os.Chown(file, 0, 65532))
		if _, err := os.Lstat(r.path(folder, name)); err != nil {
			r.must(os.Symlink("..data/"+name, r.path(folder, name)))
		}
	}
	r.must(os.Symlink(inner, r.path(folder, "..data_tmp")))
	r.must(os.Rename(r.path(folder, "..data_tmp"), r.path(folder, "..data")))
}

func (r *root) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// start runs a program of the root as kubelet runs a container. The end of the test ends it too.
func (r *root) start(program string, c *core.Container, arguments []string) (*exec.Cmd, *testkit.Buffer) {
	r.Helper()
	cmd, out := exec.Command("/"+program, arguments...), &testkit.Buffer{}
	cmd.Dir, cmd.Env = "/", []string{"GOMEMLIMIT=" + c.Env[0].Value}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL}
	r.must(cmd.Start())
	r.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

// get returns the status and body of an answer, or the error.
func get(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.Status + " " + string(body)
}

// servedBy returns the serial number of a server's certificate.
func servedBy(c *http.Client, url string) *big.Int {
	res, err := c.Get(url)
	if err != nil {
		return nil
	}
	res.Body.Close()
	return res.TLS.PeerCertificates[0].SerialNumber
}

// oneRequest makes a client close its connection after each request.
func oneRequest(t *http.Transport) { t.DisableKeepAlives = true }

// The binary of the image runs alone in an empty root that it cannot write, as user 65532,
// with the arguments, the mounts and the configuration of the manifests. It serves, answers its
// probes, follows a swap of ..data, and ends with status 0 on SIGTERM.
func TestImageServesInAnEmptyRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		testkit.Skip(t, "changing the root of a process needs root")
	}
	binary := build(t)
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Fatalf("the binary is not static: %v %v", libraries, err)
	}

	m := readManifests(t)
	r := &root{TB: t, dir: t.TempDir()}
	r.must(os.Chmod(r.dir, 0o755))
	data, err := os.ReadFile(binary)
	r.must(err)
	r.must(os.WriteFile(r.path("server"), data, 0o555))
	clients, servers := testpki.NewCA("Client CA"), testpki.NewCA("Server CA")
	billing := clients.Leaf("billing", func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/ns/prod/sa/billing"}}
	})
	addr, probes := testkit.FreeAddress(t), testkit.FreeAddress(t)
	config := map[string]string{}
	for name, text := range m.config.Data {
		config[name] = strings.Replace(text, "listen: :8443", "listen: "+addr, 1)
	}
	config["mtlsguard.yaml"] += "reload: 100ms\n"
	pair := func(p *testpki.Pair) map[string]string {
		return map[string]string{"tls.crt": string(p.CertPEM()), "tls.key": string(p.KeyPEM())}
	}
	first, next := servers.Server(), servers.Server()
	files := map[string]map[string]string{"config": config, "server": pair(first), "clients": {"ca.crt": string(clients.CertPEM())}}
	folders := map[string]string{}
	for _, mount := range m.container().VolumeMounts {
		folders[mount.Name] = mount.MountPath
		r.mount(mount.MountPath, "1", files[mount.Name])
	}
	if volume, _ := m.mountOf(t, m.container().Args[1]); volume != "config" || path.Base(m.container().Args[1]) != "mtlsguard.yaml" {
		t.Fatalf("args: %v", m.container().Args)
	}

	arguments := slices.Clone(m.container().Args)
	arguments[slices.Index(arguments, ":8081")] = probes
	cmd, out := r.start("server", m.container(), arguments)
	eventually := func(what string, condition func() bool) {
		t.Helper()
		defer func() {
			if t.Failed() {
				text := out.String()
				t.Log(text[max(0, len(text)-2000):])
			}
		}()
		testkit.Eventually(t, what, condition)
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually("/ready", func() bool { return get(plain, "http://"+probes+"/ready") == "200 OK ready\n" })
	if got := get(plain, "http://"+probes+"/live"); got != "200 OK live\n" {
		t.Errorf("/live: %s, want %s", got, "200 OK live\n")
	}
	caller := testkit.Client(t, servers.Pool(), billing, oneRequest)
	isUser := func(want string) func() bool {
		return func() bool { return strings.Contains(get(caller, "https://"+addr+"/whoami"), `"user":"`+want+`"`) }
	}
	presents := func(want *testpki.Pair) func() bool {
		return func() bool {
			serial := servedBy(caller, "https://"+addr+"/whoami")
			return serial != nil && serial.Cmp(want.Cert.SerialNumber) == 0
		}
	}
	eventually("billing is served", isUser("billing"))
	eventually("the first certificate is served", presents(first))
	if got := get(testkit.Client(t, servers.Pool(), nil, oneRequest), "https://"+addr+"/whoami"); !strings.Contains(got, "certificate required") {
		t.Errorf("without a certificate: %s", got)
	}

	config["users.yaml"] = strings.Replace(config["users.yaml"], "user: billing", "user: invoices", 1)
	r.mount(folders["config"], "2", config)
	eventually("the swapped users.yaml is in effect", isUser("invoices"))
	r.mount(folders["server"], "2", pair(next))
	eventually("the swapped certificate is in effect", presents(next))

	r.must(cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, out)
	}
}
