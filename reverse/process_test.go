package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// childEnv makes this binary one of the sides, in a process of its own.
const childEnv = "REVERSE_TEST_CHILD"

// childConfig is the configuration of a child process.
type childConfig struct {
	Side                        string // server or gateway
	Gateway                     string // its registration port
	Cert, Key, Web, WebKey      string
	UserCA, ServerCA, GatewayCA string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runChild(text string) error {
	var o childConfig
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	anchors := func(pem string, usage trust.Usage) *trust.Verifier {
		certs, err := trust.ReadCertificates("ca", []byte(pem))
		if err != nil {
			panic(err)
		}
		v, err := trust.New(trust.Config{Anchors: certs, Usage: usage})
		if err != nil {
			panic(err)
		}
		return v
	}
	own, err := tls.X509KeyPair([]byte(o.Cert), []byte(o.Key))
	if err != nil {
		return err
	}
	if o.Side == "server" {
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // the test has ended, however it did
		shop := newTestHandler()
		s, err := reverse.NewServer(reverse.ServerConfig{
			Name: "tunnel", Services: []string{"orders"}, Addrs: []string{o.Gateway}, Handler: shop, Users: anchors(o.UserCA, trust.UsageClient), Conns: 1,
			Gateways:    forwarded.Gateways{Names: []string{"localhost"}, Trust: anchors(o.GatewayCA, trust.UsageServer)},
			Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		})
		if err != nil {
			return err
		}
		go func() {
			<-s.Ready()
			fmt.Println("ready")
			for range shop.began {
				fmt.Println("began")
			}
		}()
		return s.Serve(context.Background())
	}
	web, err := tls.X509KeyPair([]byte(o.Web), []byte(o.WebKey))
	if err != nil {
		return err
	}
	g, err := reverse.NewGateway(reverse.GatewayConfig{Authorize: authorizeByName, Service: serviceByHeader, Upgrades: []string{"websocket"}, CallerShare: 100})
	if err != nil {
		return err
	}
	external, err := ports.New(portConfig("external", ports.Request, &web, anchors(o.UserCA, trust.UsageClient)))
	if err != nil {
		return err
	}
	registration, err := ports.New(portConfig("registration", ports.Require, &own, anchors(o.ServerCA, trust.UsageClient)))
	if err != nil {
		return err
	}
	s := &ports.Server{Handler: g.Registrations(), Ports: []*ports.Port{registration}, Ready: func() { fmt.Println("registration", registration.Addr()) }}
	go s.Serve(context.Background())
	go func() { // answers each line with the memory in use: heap and stacks, after a collection
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			runtime.GC()
			runtime.GC() // the second time also collects what pools kept
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println("memory", m.HeapAlloc+m.StackInuse)
		}
		os.Exit(0) // the test has ended, however it did
	}()
	e := &ports.Server{Handler: g, Ports: []*ports.Port{external}, Ready: func() { fmt.Println("external", external.Addr()) }}
	return e.Serve(context.Background())
}

// child is a process that a test started, and may kill.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin io.Writer
}

func newChild(tb testing.TB, side, gateway string, p *testpki.Pair) *child {
	tb.Helper()
	o := childConfig{Side: side, Gateway: gateway, Cert: string(p.CertPEM()), Key: string(p.KeyPEM()), UserCA: string(userCA.CertPEM()), ServerCA: string(serverCA.CertPEM()), GatewayCA: string(gatewayCA.CertPEM())}
	server := webCA.Server()
	o.Web, o.WebKey = string(server.CertPEM()), string(server.KeyPEM())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(must[[]byte](tb)(json.Marshal(o))))
	cmd.Stderr = os.Stderr
	out := must[io.ReadCloser](tb)(cmd.StdoutPipe())
	stdin := must[io.WriteCloser](tb)(cmd.StdinPipe())
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &child{cmd, bufio.NewScanner(out), stdin}
	tb.Cleanup(func() { c.kill() })
	return c
}

// wait reads lines until one begins with key, and returns the rest of that line.
func (c *child) wait(tb testing.TB, key string) string {
	tb.Helper()
	for c.lines.Scan() {
		first, rest, _ := strings.Cut(c.lines.Text(), " ")
		if first == key {
			return rest
		}
	}
	tb.Fatalf("the child ended without %q", key)
	return ""
}

// kill is kill -9 of the process that we started.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// halves are requests that are answered by half when something is killed.
var halves = []string{"/hang", "/hang?length=1000"}

// halfAnswered sends a request and reads the first half of the answer.
func halfAnswered(tb testing.TB, c *client, target string) *http.Response {
	tb.Helper()
	res := must[*http.Response](tb)(c.http.Do(c.request("GET", target, nil)))
	b := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, b); err != nil {
		tb.Fatal(err)
	}
	return res
}

func TestKilledServerNeverLooksLikeAnEnd(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		d := newDMZ(t)
		s := newChild(t, "server", d.registration.Addr().String(), orders)
		s.wait(t, "ready")
		c := d.client(t, alice, h2)
		var answers []*http.Response
		for _, target := range halves {
			answers = append(answers, halfAnswered(t, c, target))
			s.wait(t, "began")
		}
		waiting := make(chan response, 1)
		go func() { waiting <- c.get("/wait") }()
		s.wait(t, "began")
		up := make(chan error, 1)
		go func() {
			_, err := c.http.Do(c.request("POST", "/sum", zeros{}))
			up <- err
		}()
		// A client that waits for the answer before it sends more sees the end too.
		talk := dialRaw(t, d, alice)
		io.WriteString(talk, "POST /talk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
		talked := must[*http.Response](t)(http.ReadResponse(talk.r, nil))
		talked2, upload := startDuplexHTTP2(t, d)
		old := getHTTP10(t, d, "/hang")
		s.wait(t, "began")
		s.kill()
		for _, res := range answers {
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a clean end after %q", body)
			}
			res.Body.Close()
		}
		if got := <-waiting; got.Code != 502 || got.Answer.Get("Content-Type") != "application/problem+json" {
			t.Errorf("the request that waited: %d %v", got.Code, got.Answer)
		}
		for what, res := range map[string]*http.Response{"HTTP/1.1": talked, "HTTP/2": talked2} {
			if body, err := io.ReadAll(res.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %q, %v", what, body, err)
			}
		}
		upload.Close()
		<-up // an answer of 502, or aborted
		if _, err := io.ReadAll(old.r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("HTTP/1.0 ends with %v", err)
		}
		testkit.Eventually(t, "the tunnel to go", func() bool { return len(d.gateway.Tunnels()) == 0 })
	}
}

func TestKilledServerAbortsWebSockets(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newChild(t, "server", d.registration.Addr().String(), orders)
	s.wait(t, "ready")
	c, res := upgrade(t, d, alice, "/ws", "websocket")
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	fmt.Fprintln(c, "x")
	if line, err := c.r.ReadString('\n'); line != " received x\n" {
		t.Fatalf("%q %v", line, err)
	}
	s.kill()
	if _, err := io.ReadAll(c.r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

// startDuplexHTTP2 sends the first line of a full-duplex request, and reads the answer to it.
func startDuplexHTTP2(tb testing.TB, d *dmz) (*http.Response, io.Closer) {
	tb.Helper()
	body, upload := io.Pipe()
	c := d.client(tb, alice, true)
	go fmt.Fprintln(upload, "first")
	res := must[*http.Response](tb)(c.http.Do(c.request("POST", "/talk", body)))
	if _, err := io.ReadFull(res.Body, make([]byte, len("received first"))); err != nil {
		tb.Fatal(err)
	}
	return res, upload
}

// getHTTP10 sends a request of HTTP/1.0, whose answer ends with the connection.
func getHTTP10(tb testing.TB, d *dmz, target string) *rawConn {
	tb.Helper()
	c := dialRaw(tb, d, alice)
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", target)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			tb.Fatal(err)
		}
		if line == "half of it\n" {
			return c
		}
	}
}

// newGatewayChild is a gateway in a process of its own, and the addresses of its ports.
func newGatewayChild(tb testing.TB) (g *child, registration, external string) {
	tb.Helper()
	g = newChild(tb, "gateway", "", gate)
	for registration == "" || external == "" { // in either order
		if !g.lines.Scan() {
			tb.Fatal("the gateway ended")
		}
		what, addr, _ := strings.Cut(g.lines.Text(), " ")
		switch what {
		case "registration":
			registration = addr
		case "external":
			external = addr
		}
	}
	return g, registration, external
}

// memory returns the gateway's memory in use, in bytes.
func (c *child) memory(tb testing.TB) int {
	tb.Helper()
	fmt.Fprintln(c.stdin)
	return must[int](tb)(strconv.Atoi(c.wait(tb, "memory")))
}

func TestKilledGatewayNeverLooksLikeAnEnd(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		g, registration, external := newGatewayChild(t)
		shop := newTestHandler()
		sc := (&dmz{}).baseConfig(t, orders, newGuard(t).Handler(shop), "orders")
		sc.Addrs = []string{registration}
		s := startConnected(t, sc)
		c := newClient(t, external, alice, h2)
		var answers []*http.Response
		for _, target := range halves {
			answers = append(answers, halfAnswered(t, c, target))
			<-shop.began
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := c.http.Do(c.request("GET", "/wait", nil))
			waiting <- err
		}()
		<-shop.began
		g.kill()
		for _, res := range answers {
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a clean end after %q", body)
			}
			res.Body.Close()
		}
		if err := <-waiting; err == nil {
			t.Error("the request that waited was answered")
		}
		for range 3 { // the contexts of the handlers end with their caller
			<-shop.cancelled
		}
		testkit.Eventually(t, "the server to see it", func() bool { return s.events.count(reverse.Gone) == 1 })
	}
}
