package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// Every configuration error is reported with its position and a hint, by the library and by
// the example server, which ends without having opened a port.
func TestConfigurationErrorsHavePlaceAndHint(t *testing.T) {
	t.Parallel()
	binary := serverBinary(t)
	started := map[string]bool{}
	for _, row := range slices.Concat(configErrorRows, pageErrorRows) {
		start := !started[row.file] // one row of each file: the server prints all errors alike
		started[row.file] = true
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if row.line == added {
				row.line = 1 + strings.Count(s.get(row.file), "\n")
			}
			row.spoil(s)
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			found := configerror.All(err)
			if len(found) == 0 {
				t.Fatalf("no error: %v", err)
			}
			if !hasConfigError(found, s.path(row.file), row.line, row.what) {
				t.Errorf("no error at %s:%d with %q in:\n%v", row.file, row.line, row.what, err)
			}
			for i, m := range found {
				if m.File == "" || m.What == "" || m.Hint == "" {
					t.Errorf("incomplete: %#v", m)
				}
				if i > 0 && m.File == found[i-1].File && m.Line < found[i-1].Line {
					t.Errorf("out of order: %v after %v", m, found[i-1])
				}
			}
			if start {
				refusesToStart(t, binary, s, row)
			}
		})
	}
}

// All configuration errors are reported at once.
func TestConfigurationErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: true", "unmapped: Default")
	s.sub(config, "strict: false", "methods: [fetch]")
	s.sub(config, "handshake: 5s", "handshake: -5s")
	s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, critical)))
	s.put("policy.csv", "p, bob\n"+sitePolicy+"p, user:bob, nowhere, GET, /x, allow\n")
	s.put("users.yaml", siteUsers+"  - {id: x, user: x}\n")
	s.put("server.pem", "garbage")
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	var got []string
	for _, m := range configerror.All(err) {
		got = append(got, strings.TrimPrefix(fmt.Sprintf("%s:%d", m.File, m.Line), s.dir+"/"))
	}
	want := "ca.crl:1 mtlsguard.yaml:12 mtlsguard.yaml:13 mtlsguard.yaml:19 policy.csv:1 policy.csv:7 server.pem:1 users.yaml:4"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %v\n%v", got, want, err)
	}
}

func TestErrorOfASharedFileIsReportedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("ca.pem", "garbage")
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	n := 0
	for _, m := range configerror.All(err) {
		if m.File == s.path("ca.pem") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the error of ca.pem, which two ports and a mapping use, is reported %d times:\n%v", n, err)
	}
}

func TestAuthenticatorsOfAnUnknownPortAreAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Authenticators: map[string][]middleware.Authenticator{"publik": {middleware.Basic{}}}})
	if found := configerror.All(err); len(found) != 1 || !strings.Contains(found[0].What, "publik") {
		t.Errorf("got %v", err)
	}
}

func hasConfigError(found []*configerror.Error, file string, line int, what string) bool {
	for _, m := range found {
		if m.File == file && m.Line == line && strings.Contains(m.What, what) {
			return true
		}
	}
	return false
}

func refusesToStart(t *testing.T, binary string, s *site, row configErrorRow) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "-config", s.path(config))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Errorf("the server ended with %v, want status 2", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("on standard output: %q", stdout.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "error: ") && !strings.HasPrefix(line, "hint: ") {
			t.Errorf("on standard error: %q", line)
		}
	}
	for _, want := range []string{"error: " + s.path(row.file), row.what, "\nhint: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in:\n%s", want, &stderr)
		}
	}
}

var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "24") // most of these tests wait for a watcher
	}
	debug.SetGCPercent(400) // the tests allocate much and keep little
	var err error
	if binaries, err = os.MkdirTemp("", "mtlsguard"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(binaries)
	os.Exit(code)
}
