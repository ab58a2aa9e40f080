package mtlsguardtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/ports"
)

func waitFor(tb testing.TB, event string, condition func() bool) {
	tb.Helper()
	testkit.Eventually(tb, event, condition)
}

// Wrong use fails the test with a sentence that explains how to correct it.
func TestWrongUseSaysHowToMendIt(t *testing.T) {
	t.Parallel()
	server := func(options ...mtlsguardtest.Option) func(testing.TB) {
		return func(t testing.TB) { mtlsguardtest.NewServer(t, whoami, options...) }
	}
	withServe := func(options ...mtlsguardtest.Option) func(testing.TB) {
		return func(t testing.TB) { mtlsguardtest.NewServer(t, nil, options...) }
	}
	client := func(use func(*mtlsguardtest.PKI)) func(testing.TB) {
		return func(t testing.TB) { use(mtlsguardtest.NewPKI(t)) }
	}
	serve := func(err error) mtlsguardtest.Option {
		return mtlsguardtest.WithServe(func(context.Context, *mtlsguard.Server) error { return err })
	}
	for _, row := range []struct {
		name string
		test func(testing.TB)
		want []string
	}{
		{"a reserved user", client(func(p *mtlsguardtest.PKI) { p.Client("default") }), []string{`Client: "default" is not a user name`, "Anonymous()"}},
		{"no user", client(func(p *mtlsguardtest.PKI) { p.Client("") }), []string{`Client: "" is not`, "Anonymous()"}},
		{"a built-in group", client(func(p *mtlsguardtest.PKI) { p.Client("Everybody") }), []string{"it is a group of every policy"}},
		{"a user of a policy", client(func(p *mtlsguardtest.PKI) { p.TLSConfig("user:alice") }), []string{`TLSConfig: "user:alice"`, "name the user alone: alice"}},
		{"a group of a policy", client(func(p *mtlsguardtest.PKI) { p.Certificate("group:staff") }), []string{`Certificate: "group:staff"`, `WithGroups("alice", "staff")`}},
		{"a blank", client(func(p *mtlsguardtest.PKI) { p.Revoked(mtlsguardtest.ForUser("a b")) }), []string{`Revoked: "a b" is not a user name: a letter or digit`}},
		{"no folder", client(func(p *mtlsguardtest.PKI) { p.WriteFiles(filepath.Join(t.TempDir(), "none")) }), []string{"WriteFiles: open", "no such file"}},
		{"no handler", func(t testing.TB) { mtlsguardtest.NewServer(t, nil) }, []string{"the handler is nil: pass the handler under test, or WithServe"}},
		{"two handlers", server(serve(nil)), []string{"the handler is never called", "Pass nil"}},
		{"a policy with an error", server(mtlsguardtest.WithPolicy("p, user:alice, *, GET, orders, allow")), []string{"policy.csv:1", "orders"}},
		{"a membership with an error", server(mtlsguardtest.WithPolicy("p, group:staff, *, GET, /*, allow"), mtlsguardtest.WithGroups("alice", "group:staff")), []string{"policy.csv:2"}},
		{"a configuration with errors", server(mtlsguardtest.WithConfig("prots: []\n")), []string{"mtlsguard.yaml:1", `"prots"`, "\n    "}},
		{"config and port", server(mtlsguardtest.WithConfig("x"), mtlsguardtest.WithStrict(false)), []string{"WithStrict does not change the configuration of WithConfig"}},
		{"two policies", server(mtlsguardtest.WithPolicy(""), mtlsguardtest.WithOptions(mtlsguard.Options{Policy: onlyBob{}})), []string{"WithPolicy has no effect", "Remove one"}},
		{"no mode", server(mtlsguardtest.WithClientAuth(ports.ClientAuth(0))), []string{"client_cert", "none, request or require"}},
		{"no such port", func(t testing.TB) { mtlsguardtest.NewServer(t, whoami).PortURL("public") }, []string{`there is no port "public": ports are internal`}},
		{"serving fails", withServe(serve(errors.New("no socket"))), []string{"serving ended before every port was open: no socket"}},
		{"no port is opened", withServe(mtlsguardtest.StartWithin(time.Millisecond), mtlsguardtest.WithServe(func(ctx context.Context, s *mtlsguard.Server) error {
			return s.Run(ctx)
		})), []string{"not ready after 1ms: ", "must open every port and call Server.Run"}},
		{"serving does not end", withServe(mtlsguardtest.EndWithin(100*time.Millisecond), mtlsguardtest.WithServe(func(_ context.Context, s *mtlsguard.Server) error {
			return s.Serve(t.Context(), whoami)
		})), []string{"serving does not end within 100ms: the function of WithServe must return"}},
		{"serving ends with an error", withServe(mtlsguardtest.WithServe(func(ctx context.Context, s *mtlsguard.Server) error {
			return errors.Join(s.Serve(ctx, whoami), errors.New("not flushed"))
		})), []string{"serving ended with an error: not flushed"}},
		{"a request without a user", func(t testing.TB) { mtlsguardtest.Request(t, "GET", "/", "") }, []string{`Request: "" is not a user name`, "identity.Default"}},
		{"a target that is none", func(t testing.TB) { mtlsguardtest.Request(t, "GET", "orders 7", "alice") }, []string{`"GET" "orders 7" is not a request`, "/orders/7"}},
		{"a method that is none", func(t testing.TB) { mtlsguardtest.Request(t, "G T", "/", "alice") }, []string{`"G T" "/" is not a request`}},
		{"a group with its prefix", func(t testing.TB) { mtlsguardtest.Request(t, "GET", "/", "alice", "group:staff") }, []string{"name the group alone: staff"}},
		{"a built-in group of a request", func(t testing.TB) { mtlsguardtest.Request(t, "GET", "/", "alice", "Anonymous") }, []string{`"Anonymous" is not a group that can be given`}},
		{"groups of the anonymous user", func(t testing.TB) { mtlsguardtest.Request(t, "GET", "/", "Default", "staff") }, []string{`omit ["staff"]`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := record(t, row.test)
			for _, want := range append(row.want, "mtlsguardtest: ") {
				if !strings.Contains(got.text(), want) {
					t.Errorf("got %q, want %q", got.text(), want)
				}
			}
			if len(got.failures) != 1 {
				t.Errorf("%d failures: %q", len(got.failures), got.failures)
			}
		})
	}
}

// A program of production neither links this package nor package testing, and cannot call
// Request: the identity would prove nothing.
// Covers L5.
func TestProgramsOfProductionDoNotUseThePackage(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "..", "../cmd/mtlsguard", "../examples/...", "../outbound/keystore", "../outbound/allow").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	for _, name := range []string{"testing", "github.com/mtlsguard/mtlsguard/mtlsguardtest", "github.com/mtlsguard/mtlsguard/internal/testpki"} {
		if slices.Contains(packages, name) {
			t.Errorf("programs link %s", name)
		}
	}
	if !slices.Contains(packages, "github.com/mtlsguard/mtlsguard/identity") {
		t.Errorf("%d packages", len(packages))
	}

	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, []byte(`package main

import (
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

type fake struct{ testing.TB }

func (fake) Helper() {}

func main() { fmt.Println("served", mtlsguardtest.Request(fake{}, "GET", "/", "alice").URL) }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	out, err = exec.Command("go", "run", program).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: mtlsguardtest: this program is not a test") {
		t.Errorf("after %v: %v %s", time.Since(start), err, out)
	}
}
