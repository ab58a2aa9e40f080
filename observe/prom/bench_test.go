package prom_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/prom"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

var (
	allowed  = middleware.Outcome{Port: "internal", Allowed: true}
	refused  = middleware.Outcome{Port: "internal", Reason: reason.Denied}
	finished = ports.Handshake{Port: "internal", Version: 0x0304, Presented: []*x509.Certificate{{NotAfter: time.Now().Add(time.Hour)}}}
)

// Counting allocates nothing once a port is known.
func TestCountingAllocatesNothing(t *testing.T) {
	m := metrics(t, prom.Config{})
	counts := map[string]func(){
		"an allowed request":   func() { m.Observe(nil, allowed) },
		"two ports in turn":    func() { m.Observe(nil, allowed); m.Observe(nil, middleware.Outcome{Port: "public"}) },
		"a refused request":    func() { m.Observe(nil, refused) },
		"a finished handshake": func() { m.OnHandshake(finished) },
	}
	for name, count := range counts {
		count()
		if got := testing.AllocsPerRun(100, count); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// BenchmarkObserve measures the cost of counting a decision, on one processor and on all.
func BenchmarkObserve(b *testing.B) {
	m := metrics(b, prom.Config{})
	for _, name := range []string{"a", "b", "c", "internal"} {
		m.Observe(nil, middleware.Outcome{Port: name})
	}
	for name, o := range map[string]middleware.Outcome{"allowed": allowed, "refused": refused} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Observe(nil, o)
			}
		})
		b.Run(name+", at once", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Observe(nil, o)
				}
			})
		})
	}
}

func BenchmarkOnHandshake(b *testing.B) {
	m := metrics(b, prom.Config{})
	b.ReportAllocs()
	for b.Loop() {
		m.OnHandshake(finished)
	}
}
