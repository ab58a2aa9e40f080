//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// scene is the server of docs/troubleshooting.md, with the files that the page names.
type scene struct {
	*site
	t          *testing.T
	server     *testpki.Pair // its certificate
	web        string        // HOST:PORT that the page calls localhost:8080
	live       *live
	options    mtlsguard.Options
	java       *javaClient
	pairs      map[string]*testpki.Pair
	configured bool // the program calls Port.Configure
}

const sceneConfig = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    min_version: "1.2"
    certificate: {cert: server.pem, key: server-key.pem}
    trust:
      anchors: [client-ca.pem]
      crls: [client-ca.crl, intermediate.crl]
      profile: strict
      crl_issuers: [intermediate.pem]
      revocation: hard
    strict: true
    limits: {drain: 1s}
`

const sceneUsers = `mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
  - {id: partner, user: partner, subject: "CN=partner,OU=Staff,O=Acme", issuer: partner-ca.pem}
`

const scenePolicy = `p, group:Everybody, *, GET, /whoami, allow
p, group:Everybody, *, GET, /whoami/*, allow
p, group:staff, internal, GET|POST, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
g, user:alice, group:staff
g, user:bob, group:staff
`

func staff(c *x509.Certificate) {
	c.Subject.OrganizationalUnit, c.Subject.Organization = []string{"Staff"}, []string{"Acme"}
}

func newScene(t *testing.T, java *javaClient) *scene {
	s := &scene{site: newSite(t), t: t, java: java, pairs: map[string]*testpki.Pair{}}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		io.WriteString(w, "hello "+id.User)
	})
	intermediate := s.ca.SubCA("Intermediate CA")
	for name, p := range map[string]*testpki.Pair{
		"alice": s.ca.Leaf("alice", staff), "bob": s.ca.Leaf("bob", staff), "partner": s.other.Leaf("partner", staff),
		"expired": s.ca.Leaf("alice", staff, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		}),
		"revoked":  s.ca.Leaf("alice", staff),
		"wrong":    s.ca.Leaf("alice", staff, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"carol":    testpki.Make(&testpki.Pair{Cert: intermediate.Cert, Key: intermediate.Key}, testpki.NewKey(), clientTemplate("carol"), staff),
		"stranger": s.ca.Leaf("stranger"),
	} {
		s.add(name, p)
	}
	s.pairs["carol"].Chain = nil // the client forgets the intermediate
	s.put("carol.pem", string(s.pairs["carol"].CertPEM()))
	s.put("intermediate.pem", pemOf(intermediate.Cert))
	s.put("intermediate.crl", crlPEM(intermediate.CRL(1, nil)))
	s.put("client-ca.pem", string(s.ca.CertPEM()))
	s.put("partner-ca.pem", string(s.other.CertPEM()))
	s.put("partner-ca.crl", crlPEM(s.other.CRL(1, nil)))
	s.put("server-ca.pem", string(s.serve.CertPEM()))
	s.put("client-ca.crl", crlPEM(s.ca.CRL(1, []*big.Int{s.pairs["revoked"].Cert.SerialNumber})))
	s.server = s.serve.Server()
	s.put("server.pem", string(s.server.CertPEM()))
	s.put("server-key.pem", string(s.server.KeyPEM()))
	s.put("users.yaml", sceneUsers)
	s.put("policy.csv", scenePolicy)
	s.put("mtlsguard.yaml", sceneConfig)
	return s
}

func clientTemplate(name string) *x509.Certificate {
	c := &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	c.Subject.CommonName = name
	return c
}

func pemOf(c *x509.Certificate) string { return string((&testpki.Pair{Cert: c}).CertPEM()) }

// add writes a certificate and its key.
func (s *scene) add(name string, p *testpki.Pair) {
	s.Helper()
	s.pairs[name] = p
	s.put(name+".pem", string(p.CertPEM()))
	s.put(name+"-key.pem", string(p.KeyPEM()))
}

func (s *scene) start() {
	s.Helper()
	s.live = s.site.start(s.options)
}

// url returns the server's URL, with the host name of its certificate.
func (s *scene) url() string {
	return strings.Replace(s.live.url("internal", "/whoami"), "127.0.0.1", "localhost", 1)
}

// port returns the number of the server's port, onPort replaces the page's number with it.
func (s *scene) port() string {
	if s.live == nil {
		return "8443"
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.live.url("internal", ""), "https://"), ":")
	return port
}

func (s *scene) onPort(text string) string { return strings.ReplaceAll(text, ":8443", ":"+s.port()) }

// run runs a program in the scene's folder and returns its output.
func (s *scene) run(input, name string, arguments ...string) string {
	s.Helper()
	out, _ := s.exitStatus(input, name, arguments...)
	return out
}

func (s *scene) exitStatus(input, name string, arguments ...string) (output string, status int) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(input)
	cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "GIT_SSL_CAINFO=" + s.path("server-ca.pem"), "LC_ALL=C"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // a refused client exits with a status
	return out.String(), cmd.ProcessState.ExitCode()
}

// apply makes the changes that a row names. A line of mtlsguard.yaml replaces the line with the
// same key, or follows client_cert. A mapping replaces the one with the same id. A rule replaces
// the one with the same subject and path, or the same subject and effect deny.
func (s *scene) apply(r remedy) {
	s.Helper()
	for _, change := range r.lines {
		file, line := change[0], strings.ReplaceAll(change[1], "localhost:8080", s.web)
		var key func(string) string
		prefix, after := "", ""
		switch file {
		case "mtlsguard.yaml":
			key = func(l string) string { k, _, _ := strings.Cut(strings.TrimSpace(l), ":"); return k }
			prefix, after = "    ", "    client_cert:"
		case "users.yaml":
			key = func(l string) string { k, _, _ := strings.Cut(strings.TrimSpace(l), ","); return k }
			prefix = "  "
		default:
			key = func(l string) string {
				f := strings.Split(strings.ReplaceAll(l, " ", ""), ",")
				return fmt.Sprint(f[0], f[1], f[len(f)-1])
			}
		}
		lines, done := strings.Split(strings.TrimSuffix(s.get(file), "\n"), "\n"), false
		for i, l := range lines {
			if key(l) == key(line) && l != "" {
				lines[i], done = l[:len(l)-len(strings.TrimLeft(l, " "))]+line, true
				break
			}
		}
		if !done {
			at := len(lines)
			for i, l := range lines {
				if after != "" && strings.HasPrefix(l, after) {
					at = i + 1
					break
				}
			}
			lines = append(lines[:at], append([]string{prefix + line}, lines[at:]...)...)
		}
		s.put(file, strings.Join(lines, "\n")+"\n")
	}
	for _, command := range r.commands {
		s.shell(command)
	}
}

// shell runs a command as the page prints it.
func (s *scene) shell(command string) string {
	s.Helper()
	if arguments, ok := strings.CutPrefix(command, "mtlsguard "); ok {
		command = commandBinary(s) + " " + arguments
	}
	return s.run("", "sh", "-c", s.onPort(command))
}

// writeLog writes the server's log into server.log.
func (s *scene) writeLog() {
	s.Helper()
	var b bytes.Buffer
	for _, line := range s.live.log.all() {
		if err := json.NewEncoder(&b).Encode(line); err != nil {
			s.Fatal(err)
		}
	}
	s.put("server.log", b.String())
}

// The clients of the page. Each makes one request with its options, and returns all that it
// prints.

func curl(s *scene, options []string) string {
	arguments := []string{"-sS"}
	url := s.url()
	for _, o := range options {
		if strings.HasPrefix(o, "http") {
			url = s.onPort(o)
			continue
		}
		arguments = append(arguments, o)
	}
	if !strings.Contains(strings.Join(options, " "), "--cacert") && !strings.Contains(strings.Join(options, " "), "no-cacert") {
		arguments = append(arguments, "--cacert", "server-ca.pem")
	}
	if i := len(arguments); arguments[i-1] == "no-cacert" {
		arguments = arguments[:i-1]
	}
	return s.run("", testkit.Program(s, "curl", "curl"), append(arguments, "--resolve", "api.acme.example:"+s.port()+":127.0.0.1", url)...)
}

func opensslClient(s *scene, options []string) string {
	address := strings.TrimSuffix(strings.TrimPrefix(s.url(), "https://"), "/whoami")
	return s.run("GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", testkit.Program(s, "openssl", "openssl"),
		append([]string{"s_client", "-connect", address, "-CAfile", "server-ca.pem", "-ign_eof"}, options...)...)
}

func git(s *scene, options []string) string {
	out, status := s.exitStatus("", testkit.Program(s, "git", "git"), append(options, "ls-remote", s.url())...)
	if status == 0 || strings.Contains(out, "is this a git repository?") {
		return "hello " + out // it has read an answer
	}
	return out
}

// goClient reads the files in tls.LoadX509KeyPair("cert", "key") and in roots.AppendCertsFromPEM("file").
func goClient(s *scene, options []string) string {
	c := &tls.Config{RootCAs: s.serve.Pool()}
	for _, o := range options {
		call, arguments, _ := strings.Cut(o, "(")
		files := strings.Split(arguments, `"`)
		switch call {
		case "tls.LoadX509KeyPair":
			pair, err := tls.LoadX509KeyPair(s.path(files[1]), s.path(files[3]))
			if err != nil {
				return err.Error()
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		case "roots.AppendCertsFromPEM":
			c.RootCAs = x509.NewCertPool()
			if file := strings.TrimSuffix(arguments, ")"); file != "" {
				c.RootCAs.AppendCertsFromPEM([]byte(s.get("server-ca.pem")))
			}
		case "tls.VersionTLS12":
			c.MaxVersion = tls.VersionTLS12
		}
	}
	transport := &http.Transport{TLSClientConfig: c}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: testkit.Patience}).Get(s.url())
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return fmt.Sprint(string(body), err)
}

func python(s *scene, options []string) string {
	context := []string{`ssl.create_default_context(cafile="server-ca.pem")`}
	if len(options) > 0 && strings.HasPrefix(options[0], "ssl.") {
		context, options = options[:1], options[1:]
	}
	program := `import ssl, urllib.request
context = ` + strings.Join(append(context, options...), "\n") + `
print(urllib.request.urlopen("` + s.url() + `", context=context).read())
`
	return s.run(program, testkit.Python(s), "-")
}

func chromium(s *scene, options []string) string {
	return s.run("", testkit.Program(s, "chromium-headless-shell", "chromium-headless-shell"),
		append([]string{"--no-sandbox", "--disable-gpu", "--dump-dom", "--user-data-dir=" + s.path("profile"), s.url()}, options...)...)
}

// javaClient is one JVM for all cases: it starts slowly.
type javaClient struct {
	once sync.Once
	mu   sync.Mutex
	in   io.WriteCloser
	out  *bufio.Scanner
	cmd  *exec.Cmd
	err  error
}

func (j *javaClient) start(program string) {
	j.once.Do(func() {
		file, err := filepath.Abs("testdata/TLSClient.java")
		if err != nil {
			j.err = err
			return
		}
		j.cmd = exec.Command(program, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", file)
		j.cmd.Stderr = os.Stderr
		j.in, _ = j.cmd.StdinPipe()
		out, _ := j.cmd.StdoutPipe()
		j.out = bufio.NewScanner(out)
		j.err = j.cmd.Start()
	})
}

func (j *javaClient) end() {
	if j.cmd != nil && j.cmd.Process != nil {
		j.in.Close()
		j.cmd.Wait()
	}
}

func (j *javaClient) call(line string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintln(j.in, line)
	var b strings.Builder
	for j.out.Scan() && j.out.Text() != "--" {
		b.WriteString(j.out.Text() + "\n")
	}
	return b.String()
}

// java makes the request with an API and the highest version of TLS. With the CA "none" it
// trusts those of the JVM.
func java(api, version, ca string) func(*scene, []string) string {
	return func(s *scene, options []string) string {
		testkit.Program(s, "javac", "default-jdk-headless") // java compiles the client
		s.java.start(testkit.Program(s, "java", "default-jdk-headless"))
		if s.java.err != nil {
			s.Fatal(s.java.err)
		}
		line := []string{api, version, ca, s.url()}
		if ca != "none" {
			line[2] = s.path(ca)
		}
		for _, o := range options {
			name, value, _ := strings.Cut(o, "=")
			if strings.HasSuffix(name, "Store") {
				s.keystore(value)
				value = s.path(value)
			}
			line = append(line, name+"="+value)
		}
		return s.java.call(strings.Join(line, " "))
	}
}

// keystore makes NAME.p12 of NAME.pem and its key, if there is none.
func (s *scene) keystore(file string) {
	name := strings.TrimSuffix(file, ".p12")
	if _, err := os.Stat(s.path(file)); err != nil {
		s.run("", testkit.Program(s, "openssl", "openssl"), "pkcs12", "-export", "-in", name+".pem", "-inkey", name+"-key.pem", "-passout", "pass:changeit", "-out", file)
	}
}
