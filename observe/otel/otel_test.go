package otel_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/otel"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Decisions and handshakes are counted once, with the right attributes.
// Covers L8.
func TestDecisionsAndHandshakesAreCountedOnce(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{})
	alice := l.Client(l.Alice)
	for range 2 {
		l.Request(alice, l.server, "internal", "/")
	}
	l.Request(l.Client(l.Bob), l.server, "public", "/")
	l.Request(l.Client(l.Other.Leaf("alice")), l.server, "internal", "/")
	l.Request(&http.Client{}, l.server, "internal", "/") // trusts no server
	l.Eventually(l.metrics,
		"\nmtlsguard.decisions{mtlsguard.outcome=allow,mtlsguard.port=internal} 2\n",
		"\nmtlsguard.decisions{mtlsguard.outcome=refuse,mtlsguard.port=public,mtlsguard.reason=denied} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=internal,tls.established=true,tls.protocol.version=1.3,tls.resumed=false} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=internal,tls.established=true,tls.protocol.version=1.3,tls.resumed=true} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=refuse,mtlsguard.port=internal,mtlsguard.reason=unknown-authority,tls.established=false} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=failed,mtlsguard.port=internal,tls.established=false} 1\n",
		"\nmtlsguard.client.certificate.remaining{mtlsguard.port=internal} 2 [0 0 0 0 0 2 0 0 0 0 0 0 0 0 0 0]\n",
		"\nmtlsguard.handshake.duration{mtlsguard.port=internal} 2 ",
	)
}

// The current configuration is exported until Unregister.
// Covers I6.
func TestCurrentConfigurationIsExportedUntilUnregister(t *testing.T) {
	t.Parallel()
	l := inside(t, otel.Config{})
	registration, err := l.telemetry.Watch(l.server)
	if err != nil {
		t.Fatal(err)
	}
	text := "\n" + l.metrics() + "\n"
	for _, want := range []string{
		"\nmtlsguard.ready{} 1\n", "\nmtlsguard.reload.failed{} 0\n", "\nmtlsguard.generation{} 1\n", "\nmtlsguard.log.dropped{} 0\n", "\nmtlsguard.shadow.checked{} 0\n",
		"\nmtlsguard.anchors{mtlsguard.port=gateway} 2\n", "\nmtlsguard.connections{mtlsguard.port=public} 0\n", "\nmtlsguard.file.generation{mtlsguard.file=users.yaml} 1\n",
		"\nmtlsguard.file.age{mtlsguard.file=users.yaml} 0\n", "\nmtlsguard.server.certificate.remaining{mtlsguard.port=public} 863", "\nmtlsguard.crl.remaining{mtlsguard.port=internal} 863",
		"\nmtlsguard.anchor.remaining{mtlsguard.port=internal} 3153",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s in %s", want, text)
		}
	}
	if strings.Contains(text, "mtlsguard.crl.remaining{mtlsguard.port=public}") {
		t.Error("a port without CRLs exports a CRL date")
	}
	l.Put("policy.csv", "garbage")
	_ = l.server.Reload()
	l.Eventually(l.metrics, "\nmtlsguard.reload.failed{} 1\n", "\nmtlsguard.degraded{} 1\n", "\nmtlsguard.ready{} 1\n")
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if text := l.metrics(); strings.Contains(text, "mtlsguard.ready") {
		t.Errorf("the server is still exported:\n%s", text)
	}
}

// A reason outside the list is counted as other: a plug-in cannot create series.
// Covers H10.
func TestUnknownReasonIsCountedAsOther(t *testing.T) {
	t.Parallel()
	l := prepare(t, otel.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	for i := range 10 {
		unknown := reason.Reason(fmt.Sprint("unknown-", i))
		l.telemetry.Observe(r, middleware.Outcome{Port: "a", Reason: unknown})
		l.telemetry.OnHandshake(ports.Handshake{Port: "a", Reason: unknown, Err: errors.New("refused")})
		l.telemetry.OnHandshake(ports.Handshake{Port: "a", Version: uint16(0x7000 + i), ServerName: string(unknown)})
	}
	text := "\n" + l.metrics() + "\n"
	for _, want := range []string{
		"\nmtlsguard.decisions{mtlsguard.outcome=refuse,mtlsguard.port=a,mtlsguard.reason=other} 10\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=refuse,mtlsguard.port=a,mtlsguard.reason=other,tls.established=false} 10\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=a,tls.established=true,tls.protocol.version=other,tls.resumed=false} 10\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s in %s", want, text)
		}
	}
}

// Telemetry is safe for concurrent use while ports are added.
// Covers L8.
func TestTelemetryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	l := prepare(t, otel.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for i := range 500 {
				l.telemetry.Observe(r, middleware.Outcome{Port: fmt.Sprint("port-", i%5), Allowed: true})
			}
		})
	}
	busy.Wait()
	for i := range 5 {
		if want := fmt.Sprintf("mtlsguard.decisions{mtlsguard.outcome=allow,mtlsguard.port=port-%d} 400", i); !strings.Contains(l.metrics(), want) {
			t.Errorf("missing %s", want)
		}
	}
}

// BenchmarkObserve measures the cost of counting a decision, without a provider and with the
// SDK.
func BenchmarkObserve(b *testing.B) {
	r := httptest.NewRequest("GET", "/", nil)
	o := middleware.Outcome{Port: "internal", Allowed: true}
	for name, c := range map[string]otel.Config{"noop": {MeterProvider: noop.NewMeterProvider()}, "SDK": {MeterProvider: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))}} {
		b.Run(name, func(b *testing.B) {
			t, err := otel.New(c)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				t.Observe(r, o)
			}
		})
	}
}
