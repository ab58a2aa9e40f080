package storetest

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/source"
)

const nodeConfig = `users: fleet/users.yaml
policy: fleet/policy.csv
source: {mount: fleet, keep: keep, signers: [signer.pub], fleet: orders, node: NODE, poll: 30s}
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [fleet/client-ca.pem]}
`

// nodes are servers that follow the store, and what an editor needs.
type nodes struct {
	t       *testing.T
	pki     *mtlsguardtest.PKI
	key     ed25519.PrivateKey
	ca      []byte
	servers []*mtlsguard.Server
	folders []string // of servers
	newest  *source.Generation
}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{t: t, pki: mtlsguardtest.NewPKI(t)}
	folder := t.TempDir()
	n.pki.WriteFiles(folder)
	var err error
	if n.ca, err = os.ReadFile(filepath.Join(folder, "client-ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, n.key, err = ed25519.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	return n
}

// generation returns the next generation, signed, in which these are users.
func (n *nodes) generation(users ...string) *source.Generation {
	n.t.Helper()
	var mappings strings.Builder
	for _, user := range users {
		fmt.Fprintf(&mappings, "  - {id: %s, user: %s, subject: \"CN=%s,OU=Users\", issuer: client-ca.pem}\n", user, user, user)
	}
	return n.of(map[string]string{"users.yaml": "mappings:\n" + mappings.String()})
}

// of returns the next generation, signed, with these files besides a CA and a policy.
func (n *nodes) of(files map[string]string) *source.Generation {
	n.t.Helper()
	all := fstest.MapFS{
		"policy.csv":    {Data: []byte("p, group:Authenticated, *, GET, /*, allow\n")},
		"client-ca.pem": {Data: n.ca},
	}
	for name, content := range files {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	g, err := source.Next(n.newest, source.Manifest{Fleet: Fleet, Author: "anna"}, all)
	if err != nil {
		n.t.Fatal(err)
	}
	if g, err = g.Sign(n.key); err != nil {
		n.t.Fatal(err)
	}
	return g
}

// start starts a node, which ends with the test or when stop is called.
func (n *nodes) start(name string, from source.Source) (stop func()) {
	n.t.Helper()
	return n.startWith(name, "users.yaml", from)
}

// startWith is start with the name of the users in a generation.
func (n *nodes) startWith(name, users string, from source.Source) (stop func()) {
	n.t.Helper()
	return n.serve(n.open(name, users, from), http.HandlerFunc(answerUser))
}

// answerUser answers with the user of a request.
func answerUser(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	fmt.Fprint(w, id.User)
}

// startAgain starts a node that was stopped.
func (n *nodes) startAgain(node int, from source.Source) {
	n.t.Helper()
	server, err := mtlsguard.Open(filepath.Join(n.folders[node], "mtlsguard.yaml"), mtlsguard.Options{Source: from})
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers[node] = server
	n.serve(server, http.HandlerFunc(answerUser))
}

// serve runs a node with its ports until the test ends, and waits until it is ready.
func (n *nodes) serve(server *mtlsguard.Server, h http.Handler) (stop func()) {
	n.t.Helper()
	stop = n.runs(func(ctx context.Context) error { return server.Serve(ctx, h) })
	testkit.Eventually(n.t, "the node is ready", func() bool { return server.Status().Ready() })
	return stop
}

// follow starts a node that opens no port.
func (n *nodes) follow(name string, from source.Source) { n.runs(n.open(name, "users.yaml", from).Run) }

// runs runs a node until the test ends or stop is called.
func (n *nodes) runs(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	})
	n.t.Cleanup(stop)
	return stop
}

// open returns a new node, which does not run.
func (n *nodes) open(name, users string, from source.Source) *mtlsguard.Server {
	n.t.Helper()
	return n.openWith(name, users, mtlsguard.Options{Source: from})
}

// openWith is open with other options of the program.
func (n *nodes) openWith(name, users string, options mtlsguard.Options) *mtlsguard.Server {
	n.t.Helper()
	folder := n.t.TempDir()
	n.pki.WriteFiles(folder)
	der, err := x509.MarshalPKIXPublicKey(n.key.Public())
	if err != nil {
		n.t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"signer.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"mtlsguard.yaml": []byte(strings.NewReplacer("NODE", name, "users.yaml", users).Replace(nodeConfig)),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	server, err := mtlsguard.Open(filepath.Join(folder, "mtlsguard.yaml"), options)
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers, n.folders = append(n.servers, server), append(n.folders, folder)
	return server
}

// commit commits a generation, and returns when that began.
func (n *nodes) commit(editor source.Store, g *source.Generation) time.Time {
	n.t.Helper()
	begun := time.Now()
	Commit(n.t, editor, g)
	n.newest = g
	return begun
}

// ask returns what a node answers to a user.
func (n *nodes) ask(client *http.Client, node int) string {
	res, err := client.Get("https://" + n.servers[node].Ports()[0].Addr().String() + "/")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return res.Status
	}
	return string(body)
}

// inEffect waits until a user is one on all nodes, and returns how long that took from begun.
func (n *nodes) inEffect(user string, begun time.Time) time.Duration {
	n.t.Helper()
	client := n.pki.Client(user)
	for i := range n.servers {
		for n.ask(client, i) != user {
			if time.Since(begun) > testkit.Patience {
				n.t.Fatalf("%s is not a user of node %d: %s; %+v", user, i+1, n.ask(client, i), n.servers[i].Status().Source)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return time.Since(begun)
}

// askAllTheTime asks some nodes as a user, with new connections now and then, until stop is called. It is an error if
// one refuses.
func (n *nodes) askAllTheTime(user string, nodes ...int) (asked *atomic.Int64, stop func()) {
	asked = new(atomic.Int64)
	done := make(chan struct{})
	var running sync.WaitGroup
	for _, i := range nodes {
		running.Go(func() {
			for {
				client := n.pki.Client(user)
				for range 20 {
					select {
					case <-done:
						return
					default:
					}
					if got := n.ask(client, i); got != user {
						n.t.Errorf("node %d answered %s", i+1, got)
						return
					}
					asked.Add(1)
					time.Sleep(2 * time.Millisecond)
				}
				client.CloseIdleConnections()
			}
		})
	}
	return asked, sync.OnceFunc(func() { close(done); running.Wait() })
}
