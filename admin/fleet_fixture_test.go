package admin_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// orders is a fleet: its store, and the key that signs its generations.
type orders struct {
	testing.TB
	*sourcetest.Memory
	key    ed25519.PrivateKey
	signer string // the file with the public key
}

// newFleet returns a fleet with generation 1, of the users and the policy of newSite.
func newFleet(tb testing.TB) *orders {
	tb.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	f := &orders{TB: tb, Memory: sourcetest.NewMemory("orders"), key: key, signer: filepath.Join(tb.TempDir(), "signer.pub")}
	if err := os.WriteFile(f.signer, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	ca, err := pki.Files.ReadFile("client-ca.pem")
	if err != nil {
		tb.Fatal(err)
	}
	f.push("anna", "users.yaml", siteUsers, "policy.csv", sitePolicy, "client-ca.pem", string(ca))
	return f
}

// push commits the next generation, with some files in place of those of the newest one.
func (f *orders) push(author string, pairs ...string) *source.Generation {
	f.Helper()
	files, ctx := fstest.MapFS{}, context.Background()
	parent, err := f.Load(ctx, nil)
	if err == nil {
		for _, file := range parent.Manifest.Files {
			data, err := parent.ReadFile(ctx, file)
			if err != nil {
				f.Fatal(err)
			}
			files[file.Name] = &fstest.MapFile{Data: data}
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: "orders", Author: author, Note: "by " + author}, files)
	if err == nil {
		g, err = g.Sign(f.key)
	}
	if err == nil {
		err = f.Commit(ctx, g)
	}
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// newest returns the newest generation.
func (f *orders) newest() *source.Generation {
	f.Helper()
	g, err := f.Load(context.Background(), nil)
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// users returns the file of users of the newest generation.
func (f *orders) users() string {
	f.Helper()
	g := f.newest()
	for _, file := range g.Manifest.Files {
		if file.Name == "users.yaml" {
			data, err := g.ReadFile(context.Background(), file)
			if err != nil {
				f.Fatal(err)
			}
			return string(data)
		}
	}
	f.Fatal("there are no users")
	return ""
}

// site returns a node of the fleet with its page, which follows from. Settings are those of source besides mount and keep.
func (f *orders) site(from source.Source, settings string, edits ...func(*admin.Config)) *site {
	f.Helper()
	file := strings.NewReplacer("users: users.yaml", "users: fleet/users.yaml", "policy: policy.csv", "policy: fleet/policy.csv", "[client-ca.pem]", "[fleet/client-ca.pem]").Replace(siteConfig)
	file += "source: {mount: fleet, keep: " + filepath.Join(f.TempDir(), "keep") + ", node: node-1, first: 20s, " + settings + "}\n"
	return openSite(f, file, from, edits...)
}

// signed are settings of a node that uses signed generations only.
func (f *orders) signed() string { return "signers: [" + f.signer + "]" }

// readOnly is a source that takes no generations.
type readOnly struct{ source.Source }

var errAway = errors.New("away")

// waitForFleet waits until a generation of the fleet is in effect.
func (s *site) waitForFleet(number uint64) {
	s.Helper()
	testkit.Eventually(s, fmt.Sprintf("generation %d of the fleet", number), func() bool { return s.server.Status().Source.Number == number })
}
