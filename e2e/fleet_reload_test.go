package e2e

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/source"
)

// A change of mount, keep or url needs a restart, and so does the end of source: a reload
// rejects each, and the server goes on following.
func TestReloadRejectsAnotherSource(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, old, replacement, want string }{
		{"mount", "mount: fleet", "mount: other", "mount, keep or url has changed: this needs a restart"},
		{"keep", "keep: keep", "keep: other", "mount, keep or url has changed: this needs a restart"},
		{"no source", "source: {mount: fleet, keep: keep, signers: [signer.pub], first: 20s, poll: 1s, node: node-1}\n", "", "source is missing"},
		{"a broken signer", "signers: [signer.pub]", "signers: [users.yaml]", "there is no public key"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.commit()
			l := f.start()
			good := f.get("mtlsguard.yaml")
			f.sub("mtlsguard.yaml", x.old, x.replacement)
			if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
			f.put("mtlsguard.yaml", good)
			if err := l.server.Reload(); err != nil {
				t.Error(err)
			}
			f.commit("users.yaml", usersFor("alicia"))
			f.waitForNumber(l, 2)
		})
	}
}

// Signers change without a restart: the new key first, a generation with both signatures, then the
// old key goes. A reload that would leave the generation in effect without a signer is rejected.
func TestSignersAreReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit()
	l := f.start()
	old := f.get("signer.pub")
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.put("signer.pub", publicPEM(t, public))
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "no signature of the manifest is by a trusted signer") {
		t.Errorf("without the old key: %v", err)
	}
	f.put("signer.pub", old+publicPEM(t, public))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	g, err := f.next(f.newest, source.Manifest{}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	f.newest, f.key = g, key
	f.waitForNumber(l, 2)
	f.put("signer.pub", publicPEM(t, public))
	if err := l.server.Reload(); err != nil {
		t.Fatalf("without the old key, when the generation has both signatures: %v", err)
	}
	f.commit("users.yaml", usersFor("alicia"))
	f.waitForNumber(l, 3)
}

// The configuration of a node may be part of its program.
func TestEmbeddedConfigurationFollowsAFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit()
	files := fstest.MapFS{}
	for _, name := range []string{"mtlsguard.yaml", "server.pem", "server-key.pem", "signer.pub"} {
		files["node/"+name] = &fstest.MapFile{Data: []byte(f.get(name))}
	}
	files["node/mtlsguard.yaml"].Data = []byte(strings.Replace(f.get("mtlsguard.yaml"), "keep: keep", "keep: "+f.path("keep"), 1))
	files["node/fleet/users.yaml"] = &fstest.MapFile{Data: []byte(usersFor("mallory"))}
	l := f.startWith(mtlsguard.Options{Source: f.store}, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
		return mtlsguard.OpenFS(files, "node/mtlsguard.yaml", o)
	})
	alice := f.client(f.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	l.waitFor("the first generation", answer, "200 alice")
	f.commit("users.yaml", usersFor("alicia"))
	l.waitFor("the second generation", answer, "200 alicia")
}

// A revocation in a generation closes open connections.
func TestRevocationInAGenerationClosesConnections(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit()
	l := f.start()
	alice := f.client(f.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	l.waitFor("the first generation", answer, "200 alice")
	f.commit("crls/ca.crl", f.crl(2, f.alice))
	l.waitFor("the revocation", answer, "refused")
}
