package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
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

// childEnv makes this binary run one side in a process of its own.
const childEnv = "REVERSE_TEST_CHILD"

// childConfig is the configuration of a child process.
type childConfig struct {
	Side                        string // server or gateway
	Gateway                     string // its registration port
	Cert, Key, Web, WebKey      string
	UserCA, ServerCA, GatewayCA string
}

// TestMain allows more parallel tests than processors: many tests of this package mostly wait.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testkit.AllowParallel(24)
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
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // the test has ended
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
			runtime.GC() // the second collection also empties the pools
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println("memory", m.HeapAlloc+m.StackInuse)
		}
		os.Exit(0) // the test has ended
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

// kill sends SIGKILL to the process.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// newGatewayChild starts a gateway in a process of its own and returns the addresses of its
// ports.
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
