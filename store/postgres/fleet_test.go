package postgres_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

const nodeConfig = `users: fleet/users.yaml
policy: fleet/policy.csv
source: {mount: fleet, keep: keep, signers: [signer.pub], first: 10s, poll: 1m, node: node-%d}
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [fleet/client-ca.pem], revocation: off}
`

// site is three nodes that follow a database, and its clients.
type site struct {
	testing.TB
	cluster  *postgres.Cluster
	database string
	key      ed25519.PrivateKey
	clients  *testpki.Pair // their CA
	servers  *testpki.Pair
	editor   *postgres.Store
	newest   *source.Generation
}

// node is one server.
type node struct {
	server  *mtlsguard.Server
	store   *postgres.Store
	folder  string
	stop    context.CancelFunc
	ended   chan error
	clients map[string]*http.Client
}

// commit commits a generation with these users, each of whom may GET /.
func (s *site) commit(users ...string) {
	s.Helper()
	mappings, policy := "mappings:\n", ""
	for _, u := range users {
		mappings += fmt.Sprintf("  - {id: %s, user: %s, subject: \"CN=%s\", issuer: client-ca.pem}\n", u, u, u)
		policy += fmt.Sprintf("p, user:%s, internal, GET, /, allow\n", u)
	}
	g, err := source.Next(s.newest, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{
		"users.yaml": {Data: []byte(mappings)}, "policy.csv": {Data: []byte(policy)}, "client-ca.pem": {Data: s.clients.CertPEM()},
	})
	if err != nil {
		s.Fatal(err)
	}
	if g, err = g.Sign(s.key); err != nil {
		s.Fatal(err)
	}
	if err := s.editor.Commit(s.Context(), g); err != nil {
		s.Fatal(err)
	}
	s.newest = g
}

// start starts a node.
func (s *site) start(number int, folder string) *node {
	s.Helper()
	store := postgres.New(s.cluster.Pool(s, s.database, "postgres"), "orders")
	server, err := mtlsguard.Open(filepath.Join(folder, "mtlsguard.yaml"), mtlsguard.Options{Source: store})
	if err != nil {
		s.Fatalf("node %d: %v", number, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &node{server: server, store: store, folder: folder, stop: stop, ended: make(chan error, 1), clients: map[string]*http.Client{}}
	go func() {
		n.ended <- server.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") }))
	}()
	s.Cleanup(func() { n.end(s) })
	testkit.Eventually(s, "the node serves", func() bool { return server.Ports()[0].Addr() != nil })
	return n
}

// end stops a node.
func (n *node) end(s *site) {
	if n.stop == nil {
		return
	}
	n.stop()
	n.stop = nil
	if err := <-n.ended; err != nil {
		s.Error(err)
	}
	n.store.Close()
}

// folder returns a new folder of a node.
func (s *site) folder(number int) string {
	s.Helper()
	folder := s.TempDir()
	server := s.servers.Server()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		s.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"mtlsguard.yaml": fmt.Appendf(nil, nodeConfig, number), "server.pem": server.CertPEM(), "server-key.pem": server.KeyPEM(),
		"signer.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return folder
}

// status returns the status of a GET of a user: 200 is served.
func (s *site) status(n *node, user string) int {
	s.Helper()
	if n.clients[user] == nil {
		n.clients[user] = testkit.Client(s, s.servers.Pool(), s.clients.Leaf(user))
	}
	answer, err := n.clients[user].Get("https://" + n.server.Ports()[0].Addr().String() + "/")
	if err != nil {
		s.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestThreeNodesFollowPostgreSQL(t *testing.T) {
	s := &site{TB: t, cluster: postgres.OwnCluster(t), clients: testpki.NewCA("Client CA"), servers: testpki.NewCA("Server CA")}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.key, s.database = key, s.cluster.Database(t)
	s.editor = postgres.New(s.cluster.Pool(t, s.database, "postgres"), "orders")
	s.commit("alice")
	var nodes []*node
	for i := range 3 {
		nodes = append(nodes, s.start(i+1, s.folder(i+1)))
	}
	everywhere := func(user string, status int) time.Duration {
		t.Helper()
		began := time.Now()
		for i, n := range nodes {
			testkit.Eventually(t, fmt.Sprintf("node %d answers %s with %d", i+1, user, status), func() bool { return s.status(n, user) == status })
		}
		return time.Since(began)
	}
	everywhere("alice", 200)
	everywhere("bob", 403)

	s.commit("alice", "bob")
	t.Logf("bob is served by 3 nodes %v after the commit", everywhere("bob", 200))
	s.commit("bob")
	t.Logf("alice is refused by 3 nodes %v after the commit", everywhere("alice", 403))
	s.commit("alice", "bob")
	everywhere("alice", 200)
	testkit.Eventually(t, "all nodes have reported generation 4", func() bool {
		reports, err := s.editor.Reports(t.Context())
		return err == nil && len(reports) == 3 && reports[0].Node == "node-1" && reports[0].Number == 4 && reports[1].Number == 4 && reports[2].Number == 4
	})

	// The database stops: nobody is refused, and a node that is started meanwhile serves too.
	s.cluster.Stop(syscall.SIGQUIT)
	nodes[2].end(s)
	nodes[2] = s.start(3, nodes[2].folder)
	for i, n := range nodes {
		testkit.Eventually(t, "the status says that the database is away", func() bool { at := n.server.Status().Source; return !at.Connected && at.Error != "" })
		for _, user := range []string{"alice", "bob"} {
			if got := s.status(n, user); got != 200 {
				t.Errorf("without the database node %d answers %s with %d, want 200", i+1, user, got)
			}
		}
	}
	s.cluster.Start(t)
	s.commit("alice")
	news := everywhere("bob", 403)
	for range 2 { // other tests use this machine: the best of three counts
		s.cluster.Stop(syscall.SIGINT)
		s.cluster.Start(t)
		s.commit("alice", "bob")
		news = min(news, everywhere("bob", 200))
		s.commit("alice")
		everywhere("bob", 403)
	}
	t.Logf("a change after a restart is in effect on 3 nodes %v after the commit", news)
	if news > 500*time.Millisecond {
		t.Errorf("a change after a restart is in effect after %v, want 500 ms", news)
	}
	last := s.newest.Manifest.Number
	for i, n := range nodes {
		testkit.Eventually(t, fmt.Sprintf("node %d is connected", i+1), func() bool {
			at := n.server.Status().Source
			return at.Connected && at.Error == "" && at.Number == last
		})
	}
}
