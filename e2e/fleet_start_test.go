package e2e

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/source"
)

// silent is a source that never answers and never returns.
type silent struct{}

func (silent) Load(ctx context.Context, _ *source.Generation) (*source.Generation, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) Watch(ctx context.Context, _ *source.Generation) error {
	<-ctx.Done()
	return ctx.Err()
}

var errDown = errors.New("connection refused")

// partnersPolicy loads only on a node with a port partners.
const partnersPolicy = sitePolicy + "p, user:alice, partners, GET, /whoami, allow\n"

// keepOf makes the node take the generations of the fleet, one after the other, and ends it.
func (f *fleet) keepOf(commits ...func()) {
	f.Helper()
	for _, commit := range commits {
		commit()
		l := f.start()
		f.waitForNumber(l, f.newest.Manifest.Number)
		l.end()
	}
}

// breakKept makes the generation in keep one that the node cannot load, and the one before one that it
// can: the node had a port when it took the last one.
func (f *fleet) breakKept() {
	f.Helper()
	f.keepOf(func() { f.commit("users.yaml", usersFor("one")) })
	f.sub("mtlsguard.yaml", "name: public", "name: partners")
	f.keepOf(func() { f.commit("policy.csv", partnersPolicy) })
	f.sub("mtlsguard.yaml", "name: partners", "name: public")
}

// Each row is one row of the table in docs/fleet.md: what is in keep, and how the store is.
func TestStartOfANode(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name    string
		prepare func(*fleet)
		want    string // the answer to alice, or a part of the error
		number  uint64
	}{
		{"kept, and the store has the same", func(f *fleet) { f.keepOf(func() { f.commit("users.yaml", usersFor("one")) }) }, "200 one", 1},
		{"kept, and the store is down", func(f *fleet) {
			f.keepOf(func() { f.commit("users.yaml", usersFor("one")) })
			f.store.Break(errDown)
		}, "200 one", 1},
		{"kept does not load, and the store has a newer one", func(f *fleet) {
			f.breakKept()
			f.commit("users.yaml", usersFor("three"))
		}, "200 three", 3},
		{"kept does not load, and the store is down", func(f *fleet) {
			f.breakKept()
			f.store.Break(errDown)
		}, "200 one", 1},
		{"kept does not load, and the store has the same", func(f *fleet) { f.breakKept() }, "200 one", 1},
		{"no kept one loads, and the store is down", func(f *fleet) {
			f.breakKept()
			f.store.Break(errDown)
			f.sub("mtlsguard.yaml", "fleet/users.yaml", "fleet/other.yaml")
		}, "fleet/policy.csv:6: ", 0},
		{"the signer of the kept one is removed, and the store is down", func(f *fleet) {
			f.keepOf(func() { f.commit() })
			f.store.Break(errDown)
			f.put("signer.pub", newFleet(f.TB).get("signer.pub"))
		}, "no signature of the manifest is by a trusted signer", 0},
		{"nothing, and the store answers", func(f *fleet) { f.commit("users.yaml", usersFor("one")) }, "200 one", 1},
		{"nothing, and the store answers later", func(f *fleet) {
			f.commit("users.yaml", usersFor("one"))
			f.store.Break(errDown)
			time.AfterFunc(300*time.Millisecond, func() { f.store.Break(nil) })
		}, "200 one", 1},
		{"nothing, and the store is down", func(f *fleet) { f.store.Break(errDown) }, "no generation is here, and the store cannot be reached: connection refused", 0},
		{"nothing, and the store is empty", func(*fleet) {}, "no generation is here, and the store has none", 0},
		{"nothing, and the generation is wrong", func(f *fleet) { f.commit("policy.csv", "p, x\n") }, "fleet/policy.csv:1: ", 0},
		{"nothing, and keep cannot be written", func(f *fleet) {
			f.commit()
			f.put("keep", "a file\n")
		}, "that of the store cannot be kept", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			x.prepare(f)
			if x.number == 0 {
				f.sub("mtlsguard.yaml", "first: 20s", "first: 3s")
				_, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{Source: f.store})
				if err == nil || !strings.Contains(err.Error(), x.want) {
					t.Fatalf("%v, want %q", err, x.want)
				}
				for _, e := range configerror.All(err) {
					if e.File == "" || e.Hint == "" {
						t.Errorf("no place or no hint: %v", e)
					}
				}
				return
			}
			l := f.start()
			if s := l.server.Status().Source; s.Number != x.number {
				t.Errorf("generation %d is in effect, want %d", s.Number, x.number)
			}
			if got := get(f.client(f.alice), l.url("internal", "/whoami")); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		})
	}
}

// A node with a good generation on disk does not wait for a store that hangs.
func TestStartDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sub("mtlsguard.yaml", "first: 20s", "first: 10m")
	f.keepOf(func() { f.commit() })
	if _, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{Source: silent{}}); err != nil {
		t.Fatal(err) // or the test's deadline ends it
	}
}

// The program and the file must both have a source, or neither. A file that must be on the node, such
// as its key, must not come from the store.
func TestWrongSources(t *testing.T) {
	t.Parallel()
	const block = "source: {mount: fleet, keep: keep, signers: [signer.pub], first: 20s, poll: 1s, node: node-1}\n"
	for _, x := range []struct{ name, old, replacement, want string }{
		{"no block", block, "", "Options.Source is set, and source is missing"},
		{"a URL too", "node: node-1", "url: https://config.acme.example", "url is set, and the program gives a source"},
		{"no mount", "mount: fleet, ", "", "source has no mount"},
		{"a mount outside", "mount: fleet", "mount: ../fleet", `"../fleet" is not a folder below`},
		{"the folder itself", "mount: fleet", "mount: .", `"." is not a folder below`},
		{"no keep", "keep: keep, ", "", "source has no keep"},
		{"no signers", "signers: [signer.pub], ", "", "source has no signers"},
		{"signers and unsigned", "node: node-1", "unsigned: true", "unsigned is true, and there are signers"},
		{"a signer in the store", "[signer.pub]", "[fleet/signer.pub]", "is below the mount of source"},
		{"a signer that is not there", "[signer.pub]", "[nobody.pub]", "nobody.pub cannot be read"},
		{"a certificate as signer", "[signer.pub]", "[server.pem]", `the block is a "CERTIFICATE"`},
		{"a key in the store", "key: server-key.pem", "key: fleet/server-key.pem", "is below the mount of source"},
		{"a fetched CRL in the store", "crls: [fleet/crls]", "crls: [fleet/a.crl], fetch: [{url: 'http://127.0.0.1/a', file: fleet/a.crl}]", "is below the mount of source"},
		{"another fleet", "node: node-1", "fleet: payments", `generation 1 is of fleet "orders", and this node is of fleet "payments"`},
		{"anchors without a URL", "node: node-1", "anchors: [ca.pem]", "anchors has no effect without url"},
		{"a short poll", "poll: 1s", "poll: 1ms", "too short"},
		{"a file that the generation does not have", "fleet/policy.csv", "fleet/rules.csv", "fleet/rules.csv cannot be read"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.commit()
			content := f.get("mtlsguard.yaml")
			if !strings.Contains(content, x.old) {
				t.Fatalf("no %q", x.old)
			}
			content = strings.ReplaceAll(strings.Replace(content, "reload: 0", "reload: 1s", 1), x.old, x.replacement)
			content = strings.ReplaceAll(content, "      crls: [fleet/a.crl], fetch", "      crls: [fleet/a.crl]\n      fetch")
			f.put("mtlsguard.yaml", content)
			_, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{Source: f.store})
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Fatalf("%v, want %q", err, x.want)
			}
			for _, e := range configerror.All(err) {
				if e.File == "" || e.Hint == "" {
					t.Errorf("no place or no hint: %v", e)
				}
			}
		})
	}
	for name, keys := range map[string]string{
		"fleet/ca.pem":         "anchors: [fleet/ca.pem]",
		"fleet/server-key.pem": "certificate: {cert: server.pem, key: fleet/server-key.pem}",
	} {
		t.Run(name+" for the web server", func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.sub("mtlsguard.yaml", "node: node-1", "url: https://config.acme.example, "+keys)
			_, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{})
			if err == nil || !strings.Contains(err.Error(), name+" is below the mount of source") {
				t.Error(err)
			}
		})
	}
	t.Run("none in the program", func(t *testing.T) {
		t.Parallel()
		_, err := mtlsguard.Open(newFleet(t).path("mtlsguard.yaml"), mtlsguard.Options{})
		if err == nil || !strings.Contains(err.Error(), "source has no url, and the program gives no source (add url: https://HOST/PATH, or use mtlsguardd with --store URL; a program sets Options.Source)") {
			t.Error(err)
		}
	})
}

// Files on the disk below the mount are not read.
func TestMountHidesTheDisk(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if err := os.MkdirAll(f.path("fleet/crls"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.put("fleet/users.yaml", usersFor("mallory"))
	f.put("fleet/crls/more.crl", f.crl(2, f.alice))
	f.commit()
	l := f.start()
	if got := get(f.client(f.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Error(got)
	}
}

// Commands on a node read what its server has, store or no store. Without a source they read the
// files on disk.
func TestCommandsReadWhatIsKept(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	path, kept := f.path("mtlsguard.yaml"), mtlsguard.Options{Source: source.Kept()}
	const none = "no generation is "
	f.sub("mtlsguard.yaml", "first: 20s", "first: 1s")
	if _, err := mtlsguard.Open(path, kept); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("open without a generation: %v", err)
	}
	if _, err := mtlsguard.Lint(path, mtlsguard.LintOptions{Options: kept}); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("lint without a generation: %v", err)
	}
	f.sub("mtlsguard.yaml", "first: 1s", "first: 20s")
	f.keepOf(func() { f.commit("users.yaml", usersFor("one")) })
	server, err := mtlsguard.Open(path, kept)
	if err != nil {
		t.Fatal(err)
	}
	if s := server.Status().Source; s.Number != 1 {
		t.Errorf("generation %d, want 1", s.Number)
	}
	found, err := mtlsguard.Lint(path, mtlsguard.LintOptions{Options: kept})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(x configerror.Finding) bool { return strings.Contains(x.What, "fleet/policy.csv:1") }) {
		t.Errorf("lint reports nothing about the policy of the generation: %v", found)
	}
	s := newSite(t)
	if _, err := mtlsguard.Open(s.path("mtlsguard.yaml"), kept); err != nil {
		t.Errorf("without a source: %v", err)
	}
}

// Two servers with one folder keep would remove each other's files: the second does not serve, and
// goes on when the first has ended.
// Covers S18.
func TestKeepIsOfOneServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.commit()
	first := f.start()
	f.put("second.yaml", f.get("mtlsguard.yaml"))
	second, err := mtlsguard.Open(f.path("second.yaml"), mtlsguard.Options{Source: f.store})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	all := configerror.All(err)
	if len(all) != 1 || all[0].File != f.path("second.yaml") || all[0].Line == 0 || !strings.Contains(all[0].What, f.path("keep")+" is in use by another process") {
		t.Errorf("the second server: %v", err)
	}
	first.end()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.Run(ctx); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
}
