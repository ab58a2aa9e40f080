//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// world holds the certificates of one run, and their folder.
type world struct {
	dir    string
	roots  *x509.CertPool
	client tls.Certificate

	clientCA *testpki.Pair
}

func newWorld() (*world, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	serverCA, clientCA := testpki.NewCA("Server CA"), testpki.NewCA("Client CA")
	server, alice := serverCA.Server(), clientCA.Leaf("alice")
	for name, data := range map[string][]byte{
		"server.pem": server.CertPEM(), "server-key.pem": server.KeyPEM(),
		"server-ca.pem": serverCA.CertPEM(), "client-ca.pem": clientCA.CertPEM(),
		"alice.pem": alice.CertPEM(), "both.pem": append(server.CertPEM(), server.KeyPEM()...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	return &world{dir: dir, roots: serverCA.Pool(), client: alice.TLS(), clientCA: clientCA}, nil
}

func (w *world) close() { os.RemoveAll(w.dir) }

// server is the process of a server, and its backend.
type server struct {
	name  string
	addr  string
	procs []*exec.Cmd
}

func (s *server) stop() {
	for _, p := range s.procs {
		p.Process.Signal(os.Interrupt) // a server with a profile writes it now
		end := time.AfterFunc(5*time.Second, func() { p.Process.Kill() })
		p.Wait()
		end.Stop()
	}
}

// start starts a Go server, or a gateway in front of net/http.
func (w *world) start(name string, o options) (*server, error) {
	if gateway, ok := gateways[name]; ok {
		return w.startGateway(name, gateway, o)
	}
	if name == "serve" {
		gateway, err := w.daemon(o)
		if err != nil {
			return nil, err
		}
		return w.startGateway(name, gateway, o)
	}
	kind, size, sized := strings.Cut(name, ":")
	if sized {
		rules, mappings, _ := strings.Cut(size, ":")
		var err error
		if o.rules, err = strconv.Atoi(rules); err != nil {
			return nil, fmt.Errorf("-only: the number of rules: %w", err)
		}
		if o.mappings, err = strconv.Atoi(mappings); err != nil {
			return nil, fmt.Errorf("-only: the number of mappings: %w", err)
		}
		o.groups = o.rules
	}
	addr, p, err := w.startGoServer(kind, o)
	if err != nil {
		return nil, err
	}
	return &server{name: name, addr: addr, procs: []*exec.Cmd{p}}, nil
}

// onServerCore returns a command that runs on the first processor, if taskset is installed.
// A server and its backend share this processor.
func onServerCore(name string, args ...string) *exec.Cmd {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		return exec.Command(taskset, append([]string{"-c", "0", name}, args...)...)
	}
	return exec.Command(name, args...)
}

// onAllCores returns a command that runs on every processor, and not on that of the load alone.
func onAllCores(name string, args ...string) *exec.Cmd {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		return exec.Command(taskset, append([]string{"-c", fmt.Sprintf("0-%d", runtime.NumCPU()-1), name}, args...)...)
	}
	return exec.Command(name, args...)
}

// onLoadCore moves this process to the second processor.
func onLoadCore() {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		_ = exec.Command(taskset, "-a", "-c", "-p", "1", strconv.Itoa(os.Getpid())).Run() // without taskset the figures are noisier
	}
}

// startGoServer starts this program as a server, and waits for its address.
func (w *world) startGoServer(name string, o options) (string, *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	p := onServerCore(self, "-serve", name, "-dir", w.dir, "-rules", strconv.Itoa(o.rules), "-groups", strconv.Itoa(o.groups), "-mappings", strconv.Itoa(o.mappings), "-profiles", o.profiles)
	p.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC="+strconv.Itoa(o.gogc))
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := p.Start(); err != nil {
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.Wait()
		return "", nil, fmt.Errorf("the server did not start: %w", err)
	}
	return strings.TrimSpace(line), p, nil
}
