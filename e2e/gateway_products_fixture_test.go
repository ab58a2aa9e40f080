//go:build linux

package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// product is a gateway that stands between the clients and the guard in these tests, with the
// configuration that docs/gateways.md shows.
type product struct {
	name    string // of its file in forwarded/testdata/gateways, and of the format
	program string
	debian  string // its Debian package
	h2      bool   // it accepts HTTP/2
	issuers bool   // it forwards the issuers' certificates
	run     func(conf, folder string) []string
	place   func(conf, folder string) string // puts its files into the folder

	cert, verified string // the names of the headers that it sets
	forward        func(*testpki.Pair) string
	yes            string

	lax [2]string // a replacement in its configuration, after which it accepts unverified certificates
	// unverified is the answer to them.
	unverified string
	drops      bool   // it drops its own headers if a client names them in Connection
	spelled    string // the answer to alice when she sends the header in another spelling
}

var products = []product{
	{
		name: "nginx", program: "nginx", debian: "nginx-light", cert: "X-SSL-Client-Cert", verified: "X-SSL-Client-Verify",
		forward: escaped, yes: "SUCCESS",
		run: func(conf, folder string) []string {
			main := "daemon off; pid " + folder + "/pid;"
			if os.Geteuid() == 0 {
				main += " user root;" // its workers write in the folder
			}
			return []string{"-p", folder, "-c", conf, "-e", "stderr", "-g", main}
		},
		place: func(conf, folder string) string {
			own := "http {\n    access_log off;\n"
			for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				own += "    " + what + "_temp_path " + folder + "/" + what + ";\n"
			}
			return strings.Replace(conf, "http {\n", own, 1)
		},
		lax: [2]string{"ssl_verify_client optional;", "ssl_verify_client optional_no_ca;"}, unverified: "400 bad-header",
		spelled: "200 alice",
	},
	{
		name: "haproxy", program: "haproxy", debian: "haproxy", cert: "X-SSL-Client-Cert", verified: "X-SSL-Client-Verify", h2: true, issuers: true,
		forward: encoded, yes: "0",
		run: func(conf, _ string) []string { return []string{"-db", "-f", conf} },
		lax: [2]string{"verify optional", "verify optional ca-ignore-err all crt-ignore-err all"}, unverified: "400 bad-header",
		spelled: "200 alice",
	},
	{
		name: "apache", program: "apache2", debian: "apache2-bin", cert: "X-SSL-Client-Cert", verified: "X-SSL-Client-Verify",
		forward: escaped, yes: "SUCCESS",
		run: func(conf, folder string) []string {
			out := []string{"-DFOREGROUND", "-c", "DefaultRuntimeDir " + folder, "-f", conf}
			if os.Geteuid() == 0 {
				out = append(out, "-c", "User nobody", "-c", "Group nogroup")
			}
			return out
		},
		lax: [2]string{"SSLVerifyClient optional", "SSLVerifyClient optional_no_ca"}, unverified: "400 bad-header",
		drops: true, spelled: "400 bad-header",
	},
	{
		name: "caddy", program: "caddy", debian: "caddy", cert: "X-Client-Cert", h2: true,
		forward: encoded,
		run:     func(conf, _ string) []string { return []string{"run", "--adapter", "caddyfile", "--config", conf} },
		lax:     [2]string{"mode verify_if_given", "mode request"}, unverified: "403 unknown-authority",
		spelled: "400 bad-header",
	},
}

func encoded(p *testpki.Pair) string { return base64.StdEncoding.EncodeToString(p.Cert.Raw) }

// realGateway is a service behind a real gateway.
type realGateway struct {
	*behind
	*product
	live  *live
	carol *testpki.Pair // below an intermediate authority
	url   string        // of the gateway

	source string   // its configuration; "" is the one that docs/gateways.md shows
	texts  []string // pairs of a text in the configuration, and what stands in its place

	folder  string          // of the gateway that was started last
	printed *testkit.Buffer // what it printed
}

// noRetries makes HAProxy answer at once if the service refuses the connection. Otherwise it tries
// three times more, after a second each.
var noRetries = []string{"defaults\n", "defaults\n    retries 0\n"}

// documentedPort returns the forwarded section that docs/gateways.md shows for a format.
func documentedPort(t *testing.T, format string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?m)^`(format: " + format + ")`(?:, `(verified: .*)`)?$").FindStringSubmatch(string(page))
	if found == nil {
		t.Fatalf("docs/gateways.md has no line for format %s", format)
	}
	return "format: " + found[1][len("format: "):] + "\n      " + found[2]
}

// behindReal starts the service, and the gateway in front of it.
func behindReal(t *testing.T, p *product, change ...func(*realGateway)) *realGateway {
	t.Helper()
	testkit.Program(t, p.program, p.debian)
	testkit.Program(t, "curl", "curl")
	out := &realGateway{behind: newBehind(t), product: p}
	sub := out.ca.SubCA("Sub CA")
	out.carol = sub.Leaf("carol", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Staff"} })
	out.put("sub.crl", crlPEM(sub.CRL(1, nil)))
	out.sub(config, "crls: [ca.crl]", "crls: [ca.crl, sub.crl]")
	out.sub(config, "format: nginx\n      verified: {header: X-SSL-Client-Verify, value: SUCCESS}", documentedPort(t, p.name))
	out.sub(config, "strict: true", "strict: false")
	for _, f := range change {
		f(out)
	}
	out.live = out.behind.start(mtlsguard.Options{})
	out.url = out.start("", "")
	return out
}

// start starts the gateway with one text of its configuration replaced.
func (p *realGateway) start(old, replacement string) (address string) {
	p.Helper()
	folder := p.TempDir()
	for name, content := range map[string][]byte{
		"server.pem": []byte(p.get("server.pem")), "server-key.pem": []byte(p.get("server-key.pem")),
		"server-with-key.pem": []byte(p.get("server.pem") + p.get("server-key.pem")),
		"client-ca.pem":       p.ca.CertPEM(), "service-ca.pem": p.serve.CertPEM(),
		"gateway.pem": p.gateway.CertPEM(), "gateway-key.pem": p.gateway.KeyPEM(), "gateway-with-key.pem": append(p.gateway.CertPEM(), p.gateway.KeyPEM()...),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			p.Fatal(err)
		}
	}
	source, err := os.ReadFile(cmp.Or(p.source, filepath.Join("..", "forwarded", "testdata", "gateways", p.name+".conf")))
	if err != nil {
		p.Fatal(err)
	}
	service := strings.Replace(strings.TrimPrefix(p.live.url("internal", ""), "https://"), "127.0.0.1", "localhost", 1)
	for range 3 { // another program may take the port first
		address = testkit.FreeAddress(p)
		host, port, _ := net.SplitHostPort(address)
		conf := strings.NewReplacer(append(p.texts, "@RUN@", folder, "@PKI@", folder, "@LISTEN@", address, "@HOST@", host, "@PORT@", port,
			"@SERVICE@", service, "@NAME@", "localhost", "@MODULES@", "/usr/lib/apache2/modules")...).Replace(string(source))
		if !strings.Contains(conf, old) {
			p.Fatalf("the configuration has no %q", old)
		}
		conf = strings.Replace(conf, old, replacement, 1)
		if p.place != nil {
			conf = p.place(conf, folder)
		}
		file := filepath.Join(folder, "gateway.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			p.Fatal(err)
		}
		if p.launch(folder, address, p.run(file, folder)...) {
			return "https://localhost:" + port // Caddy requires the same name in TLS and in the request
		}
	}
	p.Fatal("the gateway does not start")
	return ""
}

// launch runs the gateway until the test ends, and reports whether it accepts connections.
func (p *realGateway) launch(folder, address string, arguments ...string) bool {
	p.Helper()
	path := testkit.Program(p, p.program, p.debian)
	cmd := exec.Command(path, arguments...)
	cmd.Dir = folder
	cmd.Env = []string{"HOME=" + folder, "XDG_DATA_HOME=" + folder, "XDG_CONFIG_HOME=" + folder, "PATH=" + os.Getenv("PATH")}
	// Its workers end with it, and it ends with this process, even if a test panics.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	logged := &testkit.Buffer{}
	p.folder, p.printed = folder, logged
	cmd.Stdout, cmd.Stderr = logged, logged
	cmd.WaitDelay = 5 * time.Second
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the signal comes with the end of the thread that started it
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.Fatal(err)
	}
	end := func() {
		select {
		case <-ended:
			return // its process id may belong to another process by now
		default:
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	}
	for limit := time.Now().Add(testkit.Patience); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			p.Logf("%s ended: %s", p.program, logged.String())
			return false
		default:
		}
		if acceptsTLS(address) { // some accept before they can answer
			p.Cleanup(func() {
				end()
				if p.Failed() {
					p.Logf("%s printed: %s", p.program, logged.String())
				}
			})
			return true
		}
	}
	end()
	p.Logf("%s does not accept: %s", p.program, logged.String())
	return false
}

// acceptsTLS reports whether a server at the address completes a TLS handshake.
func acceptsTLS(address string) bool {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} // the test verifies the gateway later
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// reload puts changed files into effect.
func (p *realGateway) reload() {
	p.Helper()
	if err := p.live.server.Reload(); err != nil {
		p.Fatal(err)
	}
}

// reportLeaks answers with the user, and reports each forwarded certificate header that has
// reached the handler.
func reportLeaks(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	for _, h := range []http.Header{r.Header, r.Trailer} {
		for name := range h {
			if folded := strings.ToLower(name); strings.Contains(folded, "client") && (strings.Contains(folded, "cert") || strings.Contains(folded, "verify")) {
				io.WriteString(w, "leaked "+name+" to ")
			}
		}
	}
	whoami(w, r)
}

func forEachProduct(t *testing.T, f func(t *testing.T, p *product)) {
	for i := range products {
		t.Run(products[i].name, func(t *testing.T) { t.Parallel(); f(t, &products[i]) })
	}
}

// caller makes requests in one way, and keeps its connection if it can.
type caller struct {
	name string
	get  func() string
}

// callers returns all ways to call the gateway, with a certificate or without one.
func (p *realGateway) callers(holder *testpki.Pair) []caller {
	page := p.url + "/whoami"
	h1, again := p.client(holder), p.client(holder, testkit.Resuming)
	out := []caller{
		{"HTTP/1.1", func() string { return get(h1, page) }},
		{"resumed", func() string { return get(again, page) }},
		{"curl", func() string { return p.curl(holder, "--http1.1") }},
		{"curl, TLS 1.2", func() string { return p.curl(holder, "--tls-max", "1.2") }},
	}
	if p.h2 {
		h2 := p.client(holder, testkit.HTTP2)
		out = append(out, caller{"HTTP/2", func() string { return get(h2, page) }}, caller{"curl, HTTP/2", func() string { return p.curl(holder, "--http2") }})
	}
	return out
}

// getWithTrailer makes a request with a body and a trailer.
func getWithTrailer(c *http.Client, url, name, value string) string {
	r, err := http.NewRequest("GET", url, io.MultiReader(strings.NewReader("x")))
	if err != nil {
		return err.Error()
	}
	r.Trailer = http.Header{name: {value}}
	return answer(c.Do(r))
}
