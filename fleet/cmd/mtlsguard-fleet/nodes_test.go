package main

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
)

// fleetSite is a fleet with an editor, nodes, and people with certificates.
type fleetSite struct {
	*testing.T
	dir                     string // of the editor
	clients, servers        *testpki.Pair
	alice, bob, carol, node *testpki.Pair
	key                     string // that signs
	store                   string
}

func newFleetSite(t *testing.T) *fleetSite {
	s := &fleetSite{T: t, dir: t.TempDir(), clients: testpki.NewCA("Client CA"), servers: testpki.NewCA("Server CA")}
	s.alice, s.bob, s.carol, s.node = s.clients.Leaf("alice"), s.clients.Leaf("bob"), s.clients.Leaf("carol"), s.servers.Server()
	s.key, s.store = filepath.Join(s.dir, "signer.pem"), filepath.Join(s.dir, "store")
	s.write("fleet/client-ca.pem", string(s.clients.CertPEM()))
	s.write("fleet/crls/client-ca.crl", string(s.clients.CRL(1, nil).Raw))
	s.write("fleet/policy.csv", "p, group:Authenticated, *, GET, /whoami, allow\n")
	s.write("fleet/users.yaml", "mappings:\n  - {id: alice, user: alice, subject: CN=alice, issuer: client-ca.pem}\n  - {id: bob, user: bob, subject: CN=bob, issuer: client-ca.pem}\n")
	s.write("mtlsguard.yaml", nodeYAML)
	s.write("carol.pem", string(s.carol.CertPEM()))
	s.write("store/.keep", "")
	s.expect(0, "keygen", s.key)
	return s
}

func (s *fleetSite) write(name, content string) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// expect runs a command that ends with a status, and returns its output.
func (s *fleetSite) expect(want int, args ...string) string {
	s.Helper()
	status, out, errs := call(s.T, args...)
	if status != want {
		s.Fatalf("%s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, out, errs)
	}
	return out + errs
}

// edit runs a command that commits, in the editor's folder.
func (s *fleetSite) edit(args ...string) string {
	s.Helper()
	return s.expect(0, append(args, "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"), "--sign", s.key)...)
}

// start starts a node with a folder of its own, and returns the address of its port internal.
func (s *fleetSite) start(name string, from source.Source) string {
	s.Helper()
	dir := filepath.Join("nodes", name)
	s.write(filepath.Join(dir, "mtlsguard.yaml"), strings.Replace(nodeYAML, "fleet: orders", "fleet: orders, node: "+name, 1))
	s.write(filepath.Join(dir, "server.pem"), string(s.node.CertPEM()))
	s.write(filepath.Join(dir, "server-key.pem"), string(s.node.KeyPEM()))
	public, err := os.ReadFile(s.key + ".pub")
	if err != nil {
		s.Fatal(err)
	}
	s.write(filepath.Join(dir, "signer.pem.pub"), string(public))
	ready, ended := make(chan struct{}), make(chan error, 1)
	server, err := mtlsguard.Open(filepath.Join(s.dir, dir, "mtlsguard.yaml"), mtlsguard.Options{Source: from, Ready: func() { close(ready) }})
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		ended <- server.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := identity.FromContext(r.Context())
			fmt.Fprint(w, id.User)
		}))
	}()
	s.Cleanup(func() { stop(); <-ended })
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		s.Fatal(err)
	}
	return server.Ports()[0].Addr().String()
}

// answer returns the answer of a node to a client.
func (s *fleetSite) answer(addr string, who *testpki.Pair) string {
	client := testkit.Client(s.T, s.servers.Pool(), who)
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + addr + "/whoami")
	if err != nil {
		return "refused"
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "refused"
	}
	return string(body)
}

// everywhere waits until every node gives an answer.
func (s *fleetSite) everywhere(nodes []string, who *testpki.Pair, want string) {
	s.Helper()
	for _, addr := range nodes {
		testkit.Eventually(s.T, fmt.Sprintf("%s at %s: %s", who.Cert.Subject.CommonName, addr, want), func() bool { return s.answer(addr, who) == want })
	}
}

// A commit is in effect on three real nodes. A rollback after a revocation brings users back, but never the
// revoked one.
func TestWhatIsCommittedIsInEffectOnThreeNodes(t *testing.T) {
	t.Parallel()
	s := newFleetSite(t)
	folder := filepath.Join(s.dir, "fleet")
	s.edit("push", folder, "--note", "first")
	var nodes []string
	for i := range 3 {
		nodes = append(nodes, s.start(fmt.Sprintf("node-%d", i+1), source.Folder(s.store)))
	}
	s.everywhere(nodes, s.alice, "alice")
	s.everywhere(nodes, s.carol, "refused")
	s.edit("users", "add", "--cert", filepath.Join(s.dir, "carol.pem"), "--user", "carol", "--note", "CHG-1")
	s.everywhere(nodes, s.carol, "carol")
	s.curl(nodes[0], "carol")
	if out := s.expect(0, "status", "--store", s.store, "--wait", "20s", "--nodes", "3"); strings.Count(out, " current ") != 3 {
		t.Error(out)
	}

	// bob is revoked, and alice is removed, as if by mistake
	edited := filepath.Join(s.dir, "edited")
	s.expect(0, "show", "--store", s.store, "--out", edited)
	s.write("edited/crls/client-ca.crl", string(s.clients.CRL(2, []*big.Int{s.bob.Cert.SerialNumber}).Raw))
	if out := s.edit("push", edited, "--note", "bob is revoked"); !strings.Contains(out, "+ CRL of CN=Client CA, number 2, revoked 1") {
		t.Error(out)
	}
	s.everywhere(nodes, s.bob, "refused")
	s.edit("users", "remove", "alice")
	s.everywhere(nodes, s.alice, "refused")
	s.edit("rollback", "2", "--note", "alice was no mistake")
	s.everywhere(nodes, s.alice, "alice")
	s.everywhere(nodes, s.bob, "refused")
	s.expect(0, "status", "--store", s.store, "--wait", "20s", "--nodes", "3")

	// what a node would refuse is not committed
	s.write("edited/policy.csv", "p, group:Everybody\n")
	out := s.expect(2, "push", edited, "--parent", "5", "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"), "--sign", s.key)
	if !strings.Contains(out, "edited/policy.csv:1: ") {
		t.Error(out)
	}

	// a node without a network, from a seed
	keep := filepath.Join(s.dir, "nodes", "node-4", "keep")
	s.expect(0, "seed", "--out", keep, "--store", s.store, "--config", filepath.Join(s.dir, "mtlsguard.yaml"))
	cut := source.Folder(filepath.Join(s.dir, "not-mounted"))
	s.everywhere([]string{s.start("node-4", cut)}, s.carol, "carol")
}

// curl asks a node with another client than Go's.
func (s *fleetSite) curl(addr, want string) {
	s.Helper()
	curl := testkit.Program(s.T, "curl", "curl")
	s.write("server-ca.pem", string(s.servers.CertPEM()))
	s.write("carol-key.pem", string(s.carol.KeyPEM()))
	out, err := exec.Command(curl, "-sS", "--fail", "--cacert", filepath.Join(s.dir, "server-ca.pem"), "--cert", filepath.Join(s.dir, "carol.pem"), "--key", filepath.Join(s.dir, "carol-key.pem"), "https://"+addr+"/whoami").CombinedOutput()
	if err != nil || string(out) != want {
		s.Errorf("curl: %s %v", out, err)
	}
}
