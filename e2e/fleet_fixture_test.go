package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

// fleet is a site whose users, policy and trust come from a store.
type fleet struct {
	*site
	store  *sourcetest.Memory
	key    ed25519.PrivateKey
	files  map[string]string  // of the newest generation
	newest *source.Generation // that was made
}

const fleetName = "orders"

func newFleet(tb testing.TB) *fleet {
	s := newSite(tb)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	f := &fleet{site: s, store: sourcetest.NewMemory(fleetName), key: key, files: map[string]string{
		"users.yaml": siteUsers, "policy.csv": sitePolicy, "ca.pem": s.get("ca.pem"), "crls/ca.crl": s.get("ca.crl"),
	}}
	s.put("signer.pub", publicPEM(tb, public))
	config := strings.NewReplacer("users: ", "users: fleet/", "policy: ", "policy: fleet/", "[ca.pem]", "[fleet/ca.pem]", "[ca.crl]", "[fleet/crls]").Replace(siteConfig)
	s.put("mtlsguard.yaml", config+"source: {mount: fleet, keep: keep, signers: [signer.pub], first: 20s, poll: 1s, node: node-1}\n")
	return f
}

func publicPEM(tb testing.TB, key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// next returns the signed generation after parent in which the files of pairs, names and contents,
// have changed.
func (f *fleet) next(parent *source.Generation, m source.Manifest, pairs ...string) *source.Generation {
	f.Helper()
	changed := maps.Clone(f.files)
	for i := 0; i < len(pairs); i += 2 {
		changed[pairs[i]] = pairs[i+1]
	}
	files := fstest.MapFS{}
	for name, content := range changed {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	if m.Fleet == "" {
		m.Fleet = fleetName
	}
	m.Author = "anna"
	g, err := source.Next(parent, m, files)
	if err != nil {
		f.Fatal(err)
	}
	if g, err = g.Sign(f.key); err != nil {
		f.Fatal(err)
	}
	return g
}

// commit commits a generation with changed files.
func (f *fleet) commit(pairs ...string) *source.Generation {
	f.Helper()
	g := f.next(f.newest, source.Manifest{}, pairs...)
	if err := f.store.Commit(context.Background(), g); err != nil {
		f.Fatal(err)
	}
	f.newest = g
	return g
}

// start starts a node.
func (f *fleet) start() *live { return f.site.start(mtlsguard.Options{Source: f.store}) }

// usersFor returns mappings that make alice the user name.
func usersFor(name string) string {
	return strings.Replace(siteUsers, "user: alice", "user: "+name, 1)
}

// waitForNumber waits until a generation is in effect.
func (f *fleet) waitForNumber(l *live, number uint64) {
	f.Helper()
	testkit.Eventually(f.TB, fmt.Sprintf("generation %d", number), func() bool { return l.server.Status().Source.Number == number })
}
