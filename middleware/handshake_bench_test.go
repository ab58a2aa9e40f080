//go:build unix

package middleware_test

import (
	"crypto/sha256"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

var million = flag.Bool("million", false, "benchmark handshakes over 1,000,000 mappings too")

// sized returns a guard with a number of groups, each with a rule and nested in another, and
// a number of mappings. alice is in one of the groups.
func sized(tb testing.TB, groups, mappings int) *middleware.Guard {
	tb.Helper()
	var text strings.Builder
	text.WriteString("p, group:g1, *, *, /*, allow\ng, user:alice, group:g1\n")
	for i := range groups {
		fmt.Fprintf(&text, "p, group:g%d, *, GET, /orders/%d/*, allow\ng, user:u%d, group:g%d\ng, group:g%d, group:above%d\n", i, i, i, i, i, i%10)
	}
	engine := must[*policy.Engine](tb)(policy.Load("policy.csv", strings.NewReader(text.String())))
	all := make([]certmap.Mapping, mappings)
	for i := range all {
		all[i] = certmap.Mapping{ID: fmt.Sprintf("m%d", i), User: fmt.Sprintf("u%d", i), Fingerprint: sha256.Sum256(fmt.Append(nil, i))}
	}
	all[mappings/2] = certmap.Mapping{ID: "alice", User: "alice", Fingerprint: trust.FingerprintOf(shared().alice.Cert)}
	table := must[*certmap.Table](tb)(certmap.New(all...))
	return newGuard(tb, func(c *middleware.Config) { c.Map, c.Policy = table, engine })
}

// caller connects to a port as alice again and again.
type caller struct {
	addr   string
	config *tls.Config
}

func newCaller(tb testing.TB, g *middleware.Guard, resumes bool) *caller {
	tb.Helper()
	port := newPort(tb, "p", ports.Require)
	serve(tb, g.Handler(nothing), port)
	c := &caller{addr: port.Addr().String(), config: &tls.Config{
		RootCAs: shared().serverCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{shared().alice.TLS()},
	}}
	if resumes {
		c.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		c.connect(tb, false)
	}
	return c
}

// connect makes one handshake and one request.
func (c *caller) connect(tb testing.TB, resumes bool) {
	conn, err := tls.Dial("tcp", c.addr, c.config)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), fmt.Sprint("HTTP/1.1 ", http.StatusOK)) {
		tb.Fatalf("answered %q, %v; want 200", answer, err)
	}
	if conn.ConnectionState().DidResume != resumes {
		tb.Fatalf("resumed %v", !resumes)
	}
}

// The memory that a new connection allocates does not grow with the policy and the mappings.
func TestConnectionsAllocateNothingByTheSizeOfTables(t *testing.T) {
	const size, connections = 3_000, 10
	perConnection := func(size int) uint64 {
		c := newCaller(t, sized(t, size, size), false)
		least := ^uint64(0)
		for range 3 { // what else runs in the process can only add
			var before, after runtime.MemStats
			c.connect(t, false)
			runtime.ReadMemStats(&before)
			for range connections {
				c.connect(t, false)
			}
			runtime.ReadMemStats(&after)
			least = min(least, (after.TotalAlloc-before.TotalAlloc)/connections)
		}
		return least
	}
	few, many := perConnection(10), perConnection(size)
	if many > few+4<<10 { // a number for each group would be 12 KiB
		t.Errorf("a connection allocates %d bytes with 10 groups and mappings, %d with %d", few, many, size)
	}
}

// BenchmarkHandshake measures the processor time of a connection, its client's included, with
// one request, by the size of the policy and of the mappings, beside a handler without a
// guard. Each round connects to each server in turn, so that a slower machine slows all of
// them down; the metrics are the quotients to the smallest.
func BenchmarkHandshake(b *testing.B) {
	mappings := []int{10, 1_000, 100_000}
	if *million {
		mappings = append(mappings, 1_000_000)
	}
	for _, kind := range []string{"full", "resumed"} {
		resumes := kind == "resumed"
		b.Run(kind+"/groups", func(b *testing.B) {
			measureCallers(b, []int{10, 1_000, 100_000}, resumes, func(n int) *middleware.Guard { return sized(b, n, 10) })
		})
		b.Run(kind+"/mappings", func(b *testing.B) {
			measureCallers(b, mappings, resumes, func(n int) *middleware.Guard { return sized(b, 10, n) })
		})
	}
}

func measureCallers(b *testing.B, sizes []int, resumes bool, guard func(n int) *middleware.Guard) {
	callers, used := make([]*caller, len(sizes)), make([]time.Duration, len(sizes))
	for i, n := range sizes {
		callers[i] = newCaller(b, guard(n), resumes)
	}
	const each = 8
	for round := 0; b.Loop(); round++ {
		for k := range callers {
			i := (k + round) % len(callers)
			before := processorTime(b)
			for range each {
				callers[i].connect(b, resumes)
			}
			used[i] += processorTime(b) - before
		}
	}
	b.ReportMetric(float64(used[0].Microseconds())/float64(b.N*each), "µs/connection")
	for i, n := range sizes[1:] {
		b.ReportMetric(float64(used[i+1])/float64(used[0]), fmt.Sprintf("÷10@%d", n))
	}
	b.ReportMetric(0, "ns/op")
}

// processorTime returns the processor time that the process has used.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
