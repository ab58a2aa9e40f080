package prom_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/prom"
)

func metrics(t testing.TB, c prom.Config) *prom.Metrics {
	t.Helper()
	m, err := prom.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func registry(t testing.TB, m *prom.Metrics) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	return r
}

// scraper returns a function that scrapes a registry over HTTP.
func scraper(t testing.TB, r *prometheus.Registry) func() string {
	t.Helper()
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return func() string {
		t.Helper()
		res, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res.Status, err, string(body))
		}
		return string(body)
	}
}

// live is a site's server with its metrics.
type live struct {
	*testsite.Site
	server   *mtlsguard.Server
	registry *prometheus.Registry
	scrape   func() string
}

func start(t *testing.T) *live {
	t.Helper()
	return serve(t, testsite.New(t), mtlsguard.Options{})
}

func serve(t *testing.T, s *testsite.Site, options mtlsguard.Options) *live {
	t.Helper()
	m := metrics(t, prom.Config{Now: options.Now})
	l := &live{Site: s, registry: registry(t, m)}
	l.scrape = scraper(t, l.registry)
	options.Observe, options.OnHandshake = m.Observe, m.OnHandshake
	var ready func()
	options.Ready = func() { ready() }
	l.server = s.Open(options)
	m.Watch(l.server)
	s.Serve(func(ctx context.Context, now func()) error {
		ready = now
		return l.server.Serve(ctx, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	})
	return l
}

// value returns the value of one series in a scrape.
func value(t *testing.T, text, series string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Errorf("no series %s", series)
	return 0
}
