package admin

import (
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

func newPage(tb testing.TB) *Page {
	tb.Helper()
	p, err := New(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A stranger chooses paths, names and certificates, and how many of them. The test must not run
// beside others: it measures the heap.
// Covers W5.
func TestMemoryOfRefusalsIsBounded(t *testing.T) {
	p := newPage(t)
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 50112}
	before := heap()
	raw := make([]byte, 3000) // the same array for all: the page must copy it
	n := uint64(0)
	certificate := func(size int) *x509.Certificate {
		n++
		binary.BigEndian.PutUint64(raw, n)
		return &x509.Certificate{Raw: raw[:size]}
	}
	request := httptest.NewRequest("GET", "/"+strings.Repeat("x", 5000), nil)
	bob := &identity.Identity{User: "bob", Via: identity.TLS}
	for i := range 50_000 {
		size := 500 + i%2500
		o := middleware.Outcome{Port: "internal", Reason: reason.Unmapped, Reference: fmt.Sprintf("%016x", i), Method: "GET",
			Path:   strings.Repeat("y", 20_000)[:i%600], // net/http makes it a part of the whole target
			Detail: strings.Repeat("z", i%3000), ServerName: strings.Repeat("n", 300),
			Presented: []*x509.Certificate{certificate(size), certificate(900)}}
		p.Observe(request, o)
		p.OnHandshake(ports.Handshake{Port: "internal", Reason: reason.UnknownAuthority, Remote: remote, Presented: []*x509.Certificate{certificate(size)}})
		o.Identity, o.Reason = bob, reason.Denied
		o.Presented = nil
		p.Observe(request, o)
	}
	if used := int64(heap() - before); used > maxBytes*5/4 {
		t.Errorf("%d bytes, above the bound of %d", used, maxBytes)
	}
	all := 0
	for _, g := range []*ring{p.callers, p.strangers} {
		if g.bytes > g.mostBytes+maxChain || g.count > g.mostRefusals || len(g.known) > g.mostCertificates+maxCertificates {
			t.Errorf("%d bytes, %d refusals, %d certificates", g.bytes, g.count, len(g.known))
		}
		all += g.count
	}
	if all < 2000 {
		t.Errorf("only %d refusals are left", all)
	}
	if callers := p.callers.count; callers < 1000 {
		t.Errorf("strangers have pushed out callers: %d are left", callers)
	}
	for p.strangers.count > 0 {
		p.strangers.dropOldest()
	}
	if len(p.strangers.known) != 0 || p.strangers.bytes != 0 {
		t.Errorf("an empty ring holds %d certificates and %d bytes", len(p.strangers.known), p.strangers.bytes)
	}
	runtime.KeepAlive(p)
}

// Counts of a minute stay in their minute, and go after a day.
func TestCountsOfAMinuteAreKeptForADay(t *testing.T) {
	t.Parallel()
	var m minutes
	start := time.Date(2026, 1, 31, 8, 0, 30, 0, time.UTC)
	sum := func(now time.Time, n, step int) (total uint64, values []uint64) {
		for _, s := range m.report(now, n, step).Series {
			for _, v := range s.Values {
				total += v
			}
			values = s.Values
		}
		return total, values
	}
	m.add("a", reason.Denied, start)
	m.add("a", reason.Denied, start.Add(20*time.Second))
	m.add("a", reason.Denied, start.Add(59*time.Minute))
	if total, values := sum(start.Add(59*time.Minute), 60, 1); total != 3 || len(values) != 60 || values[0] != 2 || values[59] != 1 {
		t.Errorf("got %d %v, want 3 in 60 minutes, 2 in the first and 1 in the last", total, values)
	}
	if total, _ := sum(start.Add(60*time.Minute), 60, 1); total != 1 {
		t.Errorf("%d after an hour", total)
	}
	if total, values := sum(start.Add(59*time.Minute), minutesKept, 15); total != 3 || len(values) != 96 {
		t.Errorf("got %d %v, want 3 in 96 values", total, values)
	}
	m.add("a", reason.Denied, start.Add(-time.Hour)) // the clock is set back
	if total, _ := sum(start.Add(59*time.Minute), minutesKept, 1); total != 4 {
		t.Errorf("%d with a clock that was set back", total)
	}
	if total, _ := sum(start.Add(30*time.Hour), minutesKept, 1); total != 0 {
		t.Errorf("%d after a day", total)
	}
	m.add("a", reason.Denied, start.Add(72*time.Hour))
	if total, _ := sum(start.Add(72*time.Hour), minutesKept, 1); total != 1 {
		t.Errorf("%d after three days", total)
	}
}

// The last use of a mapping is known to the second, without a lock once the mapping is known.
func TestLastUseOfAMappingIsToTheSecond(t *testing.T) {
	t.Parallel()
	var l lastSeen
	for i := range 1000 {
		l.clock.Store(int64(1000 + i))
		for j := range 10 {
			l.mark(&identity.Identity{MappingID: fmt.Sprint("m", (i+j)%200), Port: "internal", User: "u"})
		}
	}
	// The last call with m5 is that of i = 996 … 999: (999+6)%200 is 5.
	if last, _, ok := l.of("m5"); !ok || last.at != 1999 || last.port != "internal" || last.user != "u" {
		t.Errorf("got %+v %t, want the last call with m5", last, ok)
	}
	if _, _, ok := l.of("other"); ok {
		t.Error("a mapping that was not used was seen")
	}
	if len(l.fresh) != 0 {
		t.Errorf("%d mappings still take the lock", len(l.fresh))
	}
	// Two that share a slot.
	if slotOf("a-2026") != slotOf("b-2026") {
		t.Fatal("other slots")
	}
	for i := range 10 {
		l.clock.Store(int64(3000 + i))
		for _, name := range []string{"a-2026", "b-2026"} {
			l.mark(&identity.Identity{MappingID: name, Port: "internal", User: name})
			if last, _, ok := l.of(name); !ok || last.at != int64(3000+i) || last.user != name {
				t.Errorf("%s: got %+v %t, want its last call", name, last, ok)
			}
		}
	}
}

var observed = middleware.Outcome{Allowed: true, Port: "internal", Method: "GET", Path: "/orders/7", Identity: &identity.Identity{User: "alice", MappingID: "staff", Via: identity.TLS}}

// An allowed request allocates nothing.
func TestObserveAllocatesNothing(t *testing.T) {
	p := newPage(t)
	p.Observe(nil, observed)
	if got := testing.AllocsPerRun(1000, func() { p.Observe(nil, observed) }); got > 0.1 { // a new second allocates once
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	p := newPage(b)
	for i := range 10_000 {
		o := observed
		o.Identity = &identity.Identity{User: "u", MappingID: fmt.Sprint("m", i)}
		for range 3 {
			p.Observe(nil, o)
		}
	}
	none := func(*http.Request, middleware.Outcome) {}
	refused := middleware.Outcome{Port: "internal", Reason: reason.NoRule, Reference: "0123456789abcdef", Path: "/orders/7", Identity: observed.Identity}
	request := httptest.NewRequest("GET", "/orders/7", nil)
	for _, row := range []struct {
		name    string
		observe func(*http.Request, middleware.Outcome)
		o       middleware.Outcome
	}{{"none", none, observed}, {"allowed", p.Observe, observed}, {"refused", p.Observe, refused}} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				row.observe(request, row.o)
			}
		})
	}
	b.Run("allowed, at once", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p.Observe(request, observed)
			}
		})
	})
}

// Nothing that a browser sends ends in a panic, or in a key that is kept.
func FuzzReadCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY-----\n"))
	f.Add([]byte("\x30\x82"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readCertificates(data)
		if err == nil && (len(all) == 0 || len(all) > maxCertificates) {
			t.Errorf("%d certificates", len(all))
		}
		if err == nil && strings.Contains(string(data), "PRIVATE KEY-----") {
			t.Error("a key was accepted")
		}
		if err != nil && asFailure(err).Status != http.StatusUnprocessableEntity {
			t.Errorf("got %v, want 422", err)
		}
	})
}

func FuzzReadHeaders(f *testing.F) {
	f.Add("Client-Cert: :MIIB:\nX: y")
	f.Add(":\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readHeaders(text)
		for name := range all {
			if err != nil || name == "" || strings.Contains(name, "\n") {
				t.Errorf("%q in %q, %v", name, text, err)
			}
		}
	})
}
