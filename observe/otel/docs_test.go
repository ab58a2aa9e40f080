package otel_test

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/otel"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// docs/observe.md lists every instrument with its unit and attributes, and no other.
func TestDocsListEveryInstrument(t *testing.T) {
	t.Parallel()
	l := prepare(t, otel.Config{})
	if _, err := l.telemetry.Watch(l.Open(mtlsguard.Options{Source: l.Follow()})); err != nil {
		t.Fatal(err)
	}
	l.telemetry.Observe(httptest.NewRequest("GET", "/", nil), middleware.Outcome{Port: "a", Reason: reason.Denied})
	l.telemetry.OnHandshake(ports.Handshake{Port: "a", Version: tls.VersionTLS13, Presented: l.Alice.Presented()})
	l.telemetry.OnHandshake(ports.Handshake{Port: "a", Reason: reason.Revoked})
	var data metricdata.ResourceMetrics
	if err := l.reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(mtlsguard\\.[a-z.]+)` \\| ([a-z0-9{}]+) \\| ([^|]*) \\|$").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = strings.TrimSpace(m[2] + " " + strings.Trim(strings.ReplaceAll(m[3], "`", ""), "–"))
	}
	text := l.metrics()
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.SchemaURL != "https://opentelemetry.io/schemas/1.43.0" {
			t.Errorf("schema %s, want https://opentelemetry.io/schemas/1.43.0", scope.Scope.SchemaURL)
		}
		for _, m := range scope.Metrics {
			var attributes []string
			for _, one := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(m.Name)+`\{([^}]*)\}`).FindAllStringSubmatch(text, -1) {
				for _, a := range strings.Split(one[1], ",") {
					if key, _, ok := strings.Cut(a, "="); ok {
						attributes = append(attributes, key)
					}
				}
			}
			slices.Sort(attributes)
			want := strings.TrimSpace(m.Unit + " " + strings.Join(slices.Compact(attributes), ", "))
			if listed[m.Name] != want {
				t.Errorf("%s is %q, listed as %q", m.Name, want, listed[m.Name])
			}
			delete(listed, m.Name)
		}
	}
	for name := range listed {
		t.Errorf("%s is listed but does not exist", name)
	}
}
