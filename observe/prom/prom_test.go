package prom_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/prom"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Every decision and every handshake is counted once, in the right series.
// Covers L8.
func TestDecisionsAndHandshakesAreCountedOnce(t *testing.T) {
	t.Parallel()
	l := start(t)
	alice, bob, untrusted, anonymous := l.Client(l.Alice), l.Client(l.Bob), l.Client(l.Other.Leaf("alice")), l.Client(nil)
	for _, row := range []struct {
		client *http.Client
		port   string
		want   int
	}{
		{alice, "internal", 200}, {alice, "internal", 200}, {alice, "public", 200}, {bob, "internal", 403}, {anonymous, "public", 403}, {untrusted, "internal", 0}, {anonymous, "internal", 0},
	} {
		if got := l.Request(row.client, l.server, row.port, "/orders/7"); got != row.want {
			t.Fatalf("%s answers %d, want %d", row.port, got, row.want)
		}
	}
	text := l.Eventually(l.scrape,
		"\nmtlsguard_decisions_total{outcome=\"allow\",port=\"internal\",reason=\"\"} 2\n",
		"\nmtlsguard_decisions_total{outcome=\"allow\",port=\"public\",reason=\"\"} 1\n",
		"\nmtlsguard_decisions_total{outcome=\"refuse\",port=\"internal\",reason=\"denied\"} 1\n",
		"\nmtlsguard_decisions_total{outcome=\"refuse\",port=\"public\",reason=\"no-certificate\"} 1\n",
		"\nmtlsguard_decisions_total{outcome=\"refuse\",port=\"public\",reason=\"denied\"} 0\n",
		"\nmtlsguard_handshakes_total{outcome=\"ok\",port=\"internal\",reason=\"\",resumed=\"false\",version=\"1.3\"} 2\n",
		"\nmtlsguard_handshakes_total{outcome=\"ok\",port=\"internal\",reason=\"\",resumed=\"true\",version=\"1.3\"} 1\n",
		"\nmtlsguard_handshakes_total{outcome=\"refuse\",port=\"internal\",reason=\"unknown-authority\",resumed=\"\",version=\"\"} 1\n",
		"\nmtlsguard_handshakes_total{outcome=\"refuse\",port=\"internal\",reason=\"no-certificate\",resumed=\"\",version=\"\"} 1\n",
		"\nmtlsguard_handshake_duration_seconds_count{port=\"internal\"} 3\n",
		"\nmtlsguard_client_certificate_remaining_seconds_count{port=\"internal\"} 3\n",
		"\nmtlsguard_client_certificate_remaining_seconds_count{port=\"public\"} 1\n",
	)
	// The certificate is valid for a day, less its age.
	if in, below := value(t, text, `mtlsguard_client_certificate_remaining_seconds_bucket{port="internal",le="86400"}`), value(t, text, `mtlsguard_client_certificate_remaining_seconds_bucket{port="internal",le="43200"}`); in != 3 || below != 0 {
		t.Errorf("%v have less than a day, %v less than half; want 3 and 0", in, below)
	}
	// Status must count the same.
	for _, p := range l.server.Status().Ports {
		if got := value(t, text, fmt.Sprintf("mtlsguard_decisions_total{outcome=\"allow\",port=%q,reason=\"\"}", p.Name)); got != float64(p.Allowed) {
			t.Errorf("%s: %v allowed, Status counts %d", p.Name, got, p.Allowed)
		}
		for _, r := range reason.All() {
			if got := value(t, text, fmt.Sprintf("mtlsguard_handshakes_total{outcome=\"refuse\",port=%q,reason=%q,resumed=\"\",version=\"\"}", p.Name, r)); got != float64(p.Handshakes[r]) {
				t.Errorf("%s: %v handshakes refused for %s, Status counts %d", p.Name, got, r, p.Handshakes[r])
			}
		}
	}
}

// TLS 1.2 has its own series, and a connection that the client ends is not a refusal.
// Covers L8.
func TestVersionsAndFailuresHaveTheirOwnSeries(t *testing.T) {
	t.Parallel()
	l := start(t)
	old := l.Client(l.Alice)
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = 0x0303
	if got := l.Request(old, l.server, "internal", "/"); got != 200 {
		t.Fatal(got)
	}
	blind := &http.Client{} // trusts no server, and sends an alert
	t.Cleanup(blind.CloseIdleConnections)
	if got := l.Request(blind, l.server, "internal", "/"); got != 0 {
		t.Fatal(got)
	}
	l.Eventually(l.scrape,
		"\nmtlsguard_handshakes_total{outcome=\"ok\",port=\"internal\",reason=\"\",resumed=\"false\",version=\"1.2\"} 1\n",
		"\nmtlsguard_handshakes_total{outcome=\"failed\",port=\"internal\",reason=\"\",resumed=\"\",version=\"\"} 1\n",
	)
}

// The state of the source is exported where there is one.
func TestSourceIsExported(t *testing.T) {
	t.Parallel()
	s := testsite.New(t)
	if text := serve(t, s, mtlsguard.Options{}).scrape(); strings.Contains(text, "mtlsguard_source") {
		t.Error("a server without a source exports one")
	}
	s = testsite.New(t)
	text := serve(t, s, mtlsguard.Options{Source: s.Follow()}).scrape()
	for series, want := range map[string]float64{"mtlsguard_source_number": 1, "mtlsguard_source_connected": 1, "mtlsguard_source_refused": 0} {
		if got := value(t, text, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if age := float64(time.Now().UnixMilli())/1000 - value(t, text, "mtlsguard_source_heard_timestamp_seconds"); age < 0 || age > 60 {
		t.Errorf("the source answered %v s ago", age)
	}
}

// The dates of the current configuration are exported, as of the scrape.
// Covers I6.
func TestExpiryDatesOfTheCurrentConfigurationAreExported(t *testing.T) {
	t.Parallel()
	s := testsite.New(t)
	l := serve(t, s, mtlsguard.Options{})
	text := l.scrape()
	inventory := l.server.Inventory()
	for _, p := range inventory.Ports {
		for name, want := range map[string]time.Time{
			"mtlsguard_server_certificate_not_after_timestamp_seconds": p.CertificateNotAfter,
			"mtlsguard_anchor_not_after_timestamp_seconds":             p.Anchors[0].NotAfter,
			"mtlsguard_crl_next_update_timestamp_seconds":              p.FreshUntil,
		} {
			series := fmt.Sprintf("%s{port=%q}", name, p.Name)
			if want.IsZero() {
				if strings.Contains(text, series) {
					t.Errorf("%s is exported for a port without it", series)
				}
				continue
			}
			if got := value(t, text, series); got != float64(want.Unix()) {
				t.Errorf("%s is %v, want %v", series, got, want.Unix())
			}
		}
	}
	if got := value(t, text, `mtlsguard_anchors{port="gateway"}`); got != 2 {
		t.Errorf("%v anchors behind the gateway, want its own and its users'", got)
	}
	for series, want := range map[string]float64{
		"mtlsguard_ready": 1, "mtlsguard_degraded": 0, "mtlsguard_reload_failed": 0, "mtlsguard_generation": 1, "mtlsguard_log_dropped_total": 0,
		`mtlsguard_file_generation{file="users.yaml"}`: 1, `mtlsguard_connections{port="internal"}`: 0,
	} {
		if got := value(t, text, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if a := inventory.Ports[2].Anchors; a[0].NotAfter.Equal(a[1].NotAfter) {
		t.Error("both anchors of the gateway's port expire together: the test cannot tell which one is exported")
	}
	before := value(t, text, `mtlsguard_file_timestamp_seconds{file="policy.csv"}`)
	if age := float64(time.Now().UnixMilli())/1000 - before; age < 0 || age > 60 {
		t.Errorf("policy.csv is %v s old", age)
	}

	s.Put("users.yaml", "garbage")
	_ = l.server.Reload()
	text = l.scrape()
	if value(t, text, "mtlsguard_reload_failed") != 1 || value(t, text, "mtlsguard_ready") != 1 || value(t, text, "mtlsguard_degraded") != 1 || value(t, text, "mtlsguard_generation") != 1 {
		t.Error("a failed reload is not exported")
	}
	time.Sleep(2 * time.Millisecond) // so that the next generation is another time
	s.Put("users.yaml", "mappings: [{id: bob, user: bob, subject: \"CN=bob\", issuer: ca.pem}]\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	text = l.scrape()
	for series, want := range map[string]float64{
		"mtlsguard_ready": 1, "mtlsguard_reload_failed": 0, "mtlsguard_generation": 2,
		`mtlsguard_file_generation{file="users.yaml"}`: 2, `mtlsguard_file_generation{file="policy.csv"}`: 1,
		`mtlsguard_file_timestamp_seconds{file="policy.csv"}`: before,
	} {
		if got := value(t, text, series); got != want {
			t.Errorf("after a reload %s is %v, want %v", series, got, want)
		}
	}
}

// The remaining validity is measured by Config.Now.
// Covers G7.
func TestRemainingValidityIsMeasuredByTheConfiguredClock(t *testing.T) {
	t.Parallel()
	s := testsite.New(t)
	ahead := func() time.Time { return time.Now().Add(20 * time.Hour) }
	l := serve(t, s, mtlsguard.Options{Now: ahead})
	if got := l.Request(l.Client(l.Alice), l.server, "internal", "/"); got != 200 {
		t.Fatal(got)
	}
	l.Eventually(l.scrape, "\nmtlsguard_client_certificate_remaining_seconds_bucket{port=\"internal\",le=\"14400\"} 1\n")
}

// Metrics are safe for concurrent use: counting, adding ports, watching and scraping.
// Covers L8.
func TestMetricsAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := metrics(t, prom.Config{})
	scrape := scraper(t, registry(t, m))
	server := testsite.New(t).Open(mtlsguard.Options{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for i := range 1000 {
				name := fmt.Sprint("port-", i%7)
				m.Observe(nil, middleware.Outcome{Port: name, Allowed: i%2 == 0, Reason: reason.Denied})
				m.OnHandshake(ports.Handshake{Port: name, Version: 0x0304})
			}
		})
	}
	busy.Go(func() {
		for range 20 {
			m.Watch(server)
			scrape()
		}
	})
	busy.Wait()
	text, sum := scrape(), 0.0
	for i := range 7 {
		sum += value(t, text, fmt.Sprintf(`mtlsguard_decisions_total{outcome="allow",port="port-%d",reason=""}`, i))
		sum += value(t, text, fmt.Sprintf(`mtlsguard_decisions_total{outcome="refuse",port="port-%d",reason="denied"}`, i))
	}
	if sum != 4000 {
		t.Errorf("%v decisions are counted, want 4000", sum)
	}
}

// The names and help texts follow promtool's rules.
func TestMetricNamesFollowTheRulesOfPromtool(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(start(t).registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func TestBadBoundsAreRejected(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		bounds []time.Duration
		wrong  int
	}{
		"ascending": {[]time.Duration{0, time.Hour, 2 * time.Hour}, 0}, "one": {[]time.Duration{time.Hour}, 0}, "none": {[]time.Duration{}, 1},
		"twice the same": {[]time.Duration{time.Hour, time.Hour}, 1}, "down, and down again": {[]time.Duration{3, 2, 1}, 2},
	} {
		_, err := prom.New(prom.Config{Remaining: row.bounds})
		got := 0
		if err != nil {
			got = len(strings.Split(err.Error(), "\n"))
		}
		if got != row.wrong {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
