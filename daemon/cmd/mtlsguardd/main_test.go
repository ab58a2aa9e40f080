package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// node is a configuration in a folder, with one port in front of a service.
type node struct {
	*testing.T
	dir, address string
	serve        *testpki.Pair
	alice        *testpki.Pair
}

func newNode(t *testing.T, service string) *node {
	t.Helper()
	s := &node{T: t, dir: t.TempDir(), address: testkit.FreeAddress(t), serve: testpki.NewCA("Server CA")}
	ca := testpki.NewCA("Client CA")
	s.alice = ca.Leaf("alice")
	own := s.serve.Server()
	for name, text := range map[string]string{
		"server.pem": string(own.CertPEM()), "server-key.pem": string(own.KeyPEM()), "ca.pem": string(ca.CertPEM()),
		"users.yaml": "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n",
		"policy.csv": "p, user:alice, internal, *, /*, allow\n",
		"mtlsguard.yaml": `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: ` + s.address + `
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
    upstream: {url: "` + service + `"}
`,
	} {
		write(t, filepath.Join(s.dir, name), text)
	}
	return s
}

// start runs the command until stop.
func (s *node) start(arguments ...string) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"--config", filepath.Join(s.dir, "mtlsguard.yaml")}, arguments...), in, &stderr)
		in.Close()
	}()
	line := make([]byte, 6)
	if _, err := io.ReadFull(out, line); err != nil {
		cancel()
		<-ended
		s.Fatalf("%v\n%s", err, stderr.String())
	}
	return func() {
		cancel()
		if code := <-ended; code != exitEnded {
			s.Errorf("exit status %d\n%s", code, stderr.String())
		}
	}
}

// Spans of allowed requests reach a collector, and the service gets their context. A header of the
// caller does not switch them on.
func TestAllowedRequestHasASpan(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var spans collector.ExportTraceServiceRequest
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(body, &spans); err != nil {
			t.Error(err)
		}
	}))
	defer to.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Got", r.Header.Get("Traceparent"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer service.Close()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	get := func(s *node) string {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+s.address+"/orders/7/"+strings.Repeat("x", 8<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", parent)
		res, err := testkit.Client(t, s.serve.Pool(), s.alice).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.Header.Get("Got")
	}
	s := newNode(t, service.URL)
	stop := s.start("--traces", to.URL+"/v1/traces")
	got := strings.Split(get(s), "-")
	stop()
	if len(got) != 4 || got[1] != strings.Split(parent, "-")[1] || got[2] == strings.Split(parent, "-")[2] {
		t.Errorf("the service got traceparent %q", got)
	}
	text := spans.String()
	for _, want := range []string{"/orders/7", "418", "mtlsguardd", "mtlsguard.port"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, strings.Repeat("x", maxAttribute)) {
		t.Error("a span has the whole of a long path")
	}
	if strings.Contains(text, "alice") {
		t.Errorf("names without --trace-names: %s", text)
	}
	spans.Reset()
	s = newNode(t, service.URL)
	stop = s.start("--traces", to.URL+"/v1/traces", "--trace-ratio", "0")
	get(s)
	stop()
	if len(spans.ResourceSpans) > 0 {
		t.Errorf("ratio 0: %s", &spans)
	}
}

// An error in the command line or in the file is reported with its cause, and no port is opened.
func TestErrorOpensNoPort(t *testing.T) {
	s := newNode(t, "http://127.0.0.1:9")
	config := filepath.Join(s.dir, "mtlsguard.yaml")
	for _, row := range []struct {
		arguments, want string
	}{
		{"", "error: missing flags: --config=FILE"},
		{"--config missing.yaml", "missing.yaml"},
		{"--config " + config + " --store " + s.dir, "has no source\nhint: add source:"},
		{"--config " + config + " --traces 127.0.0.1:4318", "--traces: \"127.0.0.1:4318\" is not a URL"},
		{"--config " + config + " --traces http://me:secret@127.0.0.1:4318/v1/traces", "--traces: the URL has a user\nhint: leave it out, and set OTEL_EXPORTER_OTLP_HEADERS"},
		{"--config " + config + " --traces http://me:secret@127.0.0.1:4318:1/v1/traces", "--traces is not a URL"},
		{"--config " + config + " --traces ftp://me:secret@127.0.0.1", "--traces is not a URL"},
		{"--config " + config + " --traces http://127.0.0.1:4318/v1/traces --trace-ratio 2", "--trace-ratio: 2 is not from 0 to 1"},
		{"--config " + config + " --probes=", "--probes is empty"},
	} {
		var stdout, stderr bytes.Buffer
		arguments := strings.Fields(row.arguments)
		if len(arguments) == 0 {
			arguments = []string{"--json"}
		}
		if code := run(t.Context(), arguments, &stdout, &stderr); code != exitInvalid || !strings.Contains(stderr.String(), row.want) || strings.Contains(stderr.String(), "secret") || stdout.Len() > 0 {
			t.Errorf("%s: exit status %d\n%s%s", row.arguments, code, stdout.String(), stderr.String())
		}
	}
}

// A collector that is away costs one line of the log a minute.
func TestErrorsOfACollectorAreSampled(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	report := logErrors(mtlsguard.JSONLog(&out, nil))
	for range 3 {
		report(errors.New("connection refused" + strings.Repeat(" and its page", 1000)))
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"spans are lost"`) || !strings.Contains(got, "connection refused") || len(got) > 2*maxError {
		t.Error(got)
	}
}
